#include "records.h"

namespace xvault {

namespace {
constexpr uint8_t kSkipped = 255;
}

void RecordWriter::item(const Entry& entry, std::string_view hardLinkKey) {
  u8(entry.type);
  f64(static_cast<double>(entry.size));
  u16(entry.mode);
  u32(entry.uid);
  u32(entry.gid);
  i64(entry.mtimeSeconds);
  u32(entry.mtimeNanos);
  bytes(entry.path);
  optional(entry.hasLink, entry.link);
  optional(!hardLinkKey.empty(), hardLinkKey);
}

void RecordWriter::skipped(std::string_view path, std::string_view code, std::string_view detail) {
  u8(kSkipped);
  bytes(path);
  bytes(code);
  bytes(detail);
}

void RecordWriter::place(const Place& place) {
  f64(static_cast<double>(place.padding));
  f64(place.isSparse ? static_cast<double>(place.storedBytes) : -1);
  bytes(place.sha256);
  f64(static_cast<double>(place.tarOffset));
  f64(static_cast<double>(place.dataOffset));
  bytes(place.pack);
  u32(place.xattrCount);
}

Entry RecordReader::item() {
  Entry entry;
  const uint8_t type = u8();
  if (type > Entry::kHardlink) throw std::out_of_range("a record of an unknown type");
  entry.type = static_cast<Entry::Type>(type);
  entry.size = static_cast<uint64_t>(f64());
  entry.mode = u16();
  entry.uid = u32();
  entry.gid = u32();
  entry.mtimeSeconds = i64();
  entry.mtimeNanos = u32();
  entry.path = bytes();
  entry.hasLink = u8() != 0;
  if (entry.hasLink) entry.link = bytes();
  // What tells the names of one file apart is the listing's matter.
  if (u8() != 0) bytes();
  return entry;
}

Place RecordReader::place() {
  Place place;
  place.padding = static_cast<uint64_t>(f64());
  const double stored = f64();
  place.isSparse = stored >= 0;
  place.storedBytes = place.isSparse ? static_cast<uint64_t>(stored) : 0;
  place.sha256 = bytes();
  place.tarOffset = static_cast<uint64_t>(f64());
  place.dataOffset = static_cast<uint64_t>(f64());
  place.pack = bytes();
  place.xattrCount = u32();
  return place;
}

}  // namespace xvault
