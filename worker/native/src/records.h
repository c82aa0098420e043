#pragma once
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace xvault {

/** What a tar member, a listed item and a line of the index have in common. */
struct Entry {
  enum Type : uint8_t { kFile = 0, kDirectory = 1, kSymlink = 2, kHardlink = 3 };

  Type type = kFile;
  uint64_t size = 0;
  uint16_t mode = 0;
  uint32_t uid = 0;
  uint32_t gid = 0;
  /** Nanoseconds count forward from the second, before 1970 too. */
  int64_t mtimeSeconds = 0;
  uint32_t mtimeNanos = 0;
  std::string_view path;
  bool hasLink = false;
  std::string_view link;
};

/** The rest of an index line. */
struct Place {
  uint64_t padding = 0;
  /** Bytes of a sparse file's map and data in the tar; meaningless where `isSparse` is false. */
  bool isSparse = false;
  uint64_t storedBytes = 0;
  /** 32 bytes, or none. */
  std::string_view sha256;
  uint64_t tarOffset = 0;
  uint64_t dataOffset = 0;
  std::string_view pack;
  /** Extended attributes in the tar. */
  uint32_t xattrCount = 0;
};

/** Little-endian records, the same as record-codec.ts makes. */
class RecordWriter {
 public:
  std::vector<uint8_t> out;

  void u8(uint8_t value) { out.push_back(value); }
  void u16(uint16_t value) { raw(&value, sizeof value); }
  void u32(uint32_t value) { raw(&value, sizeof value); }
  void i64(int64_t value) { raw(&value, sizeof value); }
  void f64(double value) { raw(&value, sizeof value); }
  void bytes(std::string_view value) {
    u32(static_cast<uint32_t>(value.size()));
    raw(value.data(), value.size());
  }
  void optional(bool present, std::string_view value) {
    u8(present ? 1 : 0);
    if (present) bytes(value);
  }
  /** `hardLinkKey` may be empty for none. */
  void item(const Entry& entry, std::string_view hardLinkKey = {});
  void skipped(std::string_view path, std::string_view code, std::string_view detail);
  void place(const Place& place);

 private:
  void raw(const void* data, size_t size) {
    const auto* from = static_cast<const uint8_t*>(data);
    out.insert(out.end(), from, from + size);
  }
};

/** Throws std::out_of_range at a record that is cut off. Strings are views of the buffer. */
class RecordReader {
 public:
  RecordReader(const uint8_t* data, size_t size) : data_(data), size_(size) {}

  uint8_t u8() { return number<uint8_t>(); }
  uint16_t u16() { return number<uint16_t>(); }
  uint32_t u32() { return number<uint32_t>(); }
  int64_t i64() { return number<int64_t>(); }
  double f64() { return number<double>(); }
  std::string_view bytes() {
    const uint32_t size = u32();
    return {reinterpret_cast<const char*>(take(size)), size};
  }
  Entry item();
  Place place();

 private:
  const uint8_t* take(size_t size) {
    if (size > size_ - at_) throw std::out_of_range("a record is cut off");
    at_ += size;
    return data_ + at_ - size;
  }
  template <typename T>
  T number() {
    T value;
    std::memcpy(&value, take(sizeof value), sizeof value);
    return value;
  }

  const uint8_t* data_;
  size_t size_;
  size_t at_ = 0;
};

}  // namespace xvault
