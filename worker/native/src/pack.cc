#include "pack.h"

#include <openssl/evp.h>

#include <algorithm>

#include "read-fully.h"
#include "sparse.h"
#include "system-error.h"
#include "tar-header.h"
#include "xattrs.h"

namespace xvault {

void Segment::reset(size_t capacity) {
  if (capacity != capacity_) data_ = std::make_unique_for_overwrite<uint8_t[]>(capacity);
  capacity_ = capacity;
  used_ = 0;
}

void Segment::append(std::string_view bytes) {
  std::memcpy(end(), bytes.data(), bytes.size());
  used_ += bytes.size();
}

void Segment::padBlock() {
  const size_t padding = tarPadding(used_);
  std::memset(end(), 0, padding);
  used_ += padding;
}

namespace {

class Packer {
 public:
  Packer(Segment& segment, const PackOptions& options, Root root)
      : segment_(segment), options_(options), opener_(root) {}

  Packed run(RecordReader operations) {
    packed_.done = options_.from;
    for (uint32_t at = 0; at < options_.count; ++at) {
      const Entry entry = operations.item();
      if (at < options_.from) continue;
      if (!add(at, entry)) break;
      packed_.done = at + 1;
    }
    return std::move(packed_);
  }

 private:
  /** False when there is no room. */
  bool add(uint32_t at, const Entry& entry) {
    if (entry.type == Entry::kFile) return addFile(at, entry.path);
    const Xattrs xattrs = entry.type == Entry::kDirectory ? xattrsOfDirectory(entry.path) : Xattrs();
    const std::string header = tarHeader(entry, nullptr, xattrs.packed);
    if (!segment_.fits(header.size())) return false;
    Place place;
    place.xattrCount = xattrs.count;
    place.tarOffset = segment_.used();
    segment_.append(header);
    place.dataOffset = segment_.used();
    record(entry, place);
    noteLack(at, entry.path, xattrs);
    return true;
  }

  Xattrs xattrsOfDirectory(std::string_view path) {
    try {
      return readXattrs(opener_.directory(path));
    } catch (const SystemError& error) {
      // The walk tells of a directory that cannot be opened.
      error.throwIfShortage();
      return {};
    }
  }

  bool addFile(uint32_t at, std::string_view path) {
    try {
      const std::optional<OpenedFile> file = opener_.open(path);
      if (!file) {
        note(at, path, "ITEM_VANISHED", "something else has taken its name");
        return true;
      }
      SparseMap map;
      return findHoles(file->fd.get(), file->stats, map) ? addSparse(at, path, *file, map) : addWhole(at, path, *file);
    } catch (const SystemError& error) {
      error.throwIfShortage();
      note(at, path, error.itemCode(), error.what());
      return true;
    }
  }

  bool addWhole(uint32_t at, std::string_view path, const OpenedFile& file) {
    Entry entry = entryOf(Entry::kFile, file.stats, path);
    const Xattrs xattrs = readXattrs(file.fd.get());
    const size_t headerBytes = tarHeader(entry, nullptr, xattrs.packed).size();
    if (entry.size > options_.mostFileBytes || !segment_.fits(headerBytes + entry.size + kTarBlock)) return false;
    const uint64_t wanted = entry.size;
    // Read before the header is written, which tells what there was to read.
    entry.size = readFully(file.fd.get(), segment_.end() + headerBytes, wanted, 0);
    const bool changed = entry.size != wanted || hasChanged(file);
    finish(entry, tarHeader(entry, nullptr, xattrs.packed), {}, entry.size, xattrs.count);
    if (changed) noteChanged(at, path);
    noteLack(at, path, xattrs);
    return true;
  }

  bool addSparse(uint32_t at, std::string_view path, const OpenedFile& file, const SparseMap& map) {
    const Entry entry = entryOf(Entry::kFile, file.stats, path);
    const std::string text = map.text(entry.size);
    const uint64_t storedBytes = text.size() + map.dataBytes;
    const Xattrs xattrs = readXattrs(file.fd.get());
    const std::string header = tarHeader(entry, &storedBytes, xattrs.packed);
    if (map.dataBytes > options_.mostFileBytes || !segment_.fits(header.size() + storedBytes + kTarBlock)) return false;
    uint8_t* into = segment_.end() + header.size() + text.size();
    bool changed = false;
    for (const Extent& extent : map.extents) {
      const size_t have = readFully(file.fd.get(), into, extent.length, extent.offset);
      std::memset(into + have, 0, extent.length - have);
      changed |= have < extent.length;
      into += extent.length;
    }
    changed |= hasChanged(file);
    finish(entry, header, text, map.dataBytes, xattrs.count);
    if (changed) noteChanged(at, path);
    noteLack(at, path, xattrs);
    return true;
  }

  /** `dataBytes` of content are in the segment already, where header and map will end. */
  void finish(const Entry& entry, const std::string& header, const std::string& map, uint64_t dataBytes,
              uint32_t xattrCount) {
    Place place;
    place.xattrCount = xattrCount;
    place.tarOffset = segment_.used();
    segment_.append(header);
    place.dataOffset = segment_.used();
    segment_.append(map);
    segment_.advance(dataBytes);
    place.isSparse = !map.empty();
    place.storedBytes = map.size() + dataBytes;
    char digest[32];
    const uint8_t* content = segment_.data() + place.dataOffset;
    if (EVP_Digest(content, place.storedBytes, reinterpret_cast<uint8_t*>(digest), nullptr, EVP_sha256(), nullptr) != 1) {
      throw std::runtime_error("hashing failed");
    }
    place.sha256 = {digest, sizeof digest};
    segment_.padBlock();
    record(entry, place);
    packed_.fileCount += 1;
    packed_.sourceBytes += entry.size;
  }

  bool hasChanged(const OpenedFile& file) {
    struct stat now;
    if (::fstat(file.fd.get(), &now) != 0) throw SystemError("fstat", errno);
    return differs(file.stats, now);
  }

  void record(const Entry& entry, const Place& place) {
    packed_.records.item(entry);
    packed_.records.place(place);
    packed_.recordCount += 1;
  }

  void noteChanged(uint32_t at, std::string_view path) {
    note(at, path, "ITEM_CHANGED", "size or time changed while it was read");
  }

  void noteLack(uint32_t at, std::string_view path, const Xattrs& xattrs) {
    if (!xattrs.isComplete()) note(at, path, "ITEM_ATTRIBUTES_LEFT_OUT", xattrs.lack());
  }

  void note(uint32_t at, std::string_view path, std::string_view code, std::string_view detail) {
    packed_.notes.u32(at);
    packed_.notes.skipped(path, code, detail);
    packed_.noteCount += 1;
  }

  Segment& segment_;
  const PackOptions& options_;
  FileOpener opener_;
  Packed packed_;
};

}  // namespace

Packed pack(Segment& segment, RecordReader operations, const PackOptions& options, Root root) {
  return Packer(segment, options, root).run(operations);
}

}  // namespace xvault
