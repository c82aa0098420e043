#include "tar-header.h"

#include <algorithm>

#include "decimal-time.h"
#include "text.h"

namespace xvault {

namespace {

constexpr size_t kNameBytes = 100;
constexpr uint64_t kMaxOctal7 = 07777777;
constexpr uint64_t kMaxOctal11 = 077777777777;
/** Only seen by readers that do not know pax. */
constexpr std::string_view kPaxName = "PaxHeaders/entry";
constexpr char kTypeFlags[] = {'0', '5', '2', '1'};

/** `<length> <key>=<value>\n`, where length counts itself. */
void addRecord(std::string& records, std::string_view key, std::string_view value) {
  const size_t rest = key.size() + value.size() + 3;
  size_t length = rest + std::to_string(rest).size();
  if (std::to_string(length).size() != std::to_string(rest).size()) length = rest + std::to_string(length).size();
  records.append(std::to_string(length)).append(" ").append(key).append("=").append(value).append("\n");
}

bool fitsOctalSeconds(const Entry& entry) {
  return entry.mtimeSeconds >= 0 && entry.mtimeNanos == 0 && static_cast<uint64_t>(entry.mtimeSeconds) <= kMaxOctal11;
}

/** Exact seconds, as short as can be. */
std::string decimalSeconds(const Entry& entry) {
  std::string text = fixedSeconds(entry);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  return text;
}

/** What GNU tar calls a sparse member for readers that do not know its format. */
std::string sparseName(std::string_view path) {
  const size_t slash = path.rfind('/');
  const bool isDeep = slash != std::string_view::npos;
  std::string name(isDeep ? path.substr(0, slash + 1) : "./");
  return name.append("GNUSparseFile.0/").append(isDeep ? path.substr(slash + 1) : path);
}

/** As GNU tar writes and reads them: what would end a keyword is escaped. */
void addXattrs(std::string& records, std::string_view packed) {
  RecordReader reader(reinterpret_cast<const uint8_t*>(packed.data()), packed.size());
  for (size_t at = 0; at < packed.size();) {
    const std::string_view name = reader.bytes();
    const std::string_view value = reader.bytes();
    at += 2 * sizeof(uint32_t) + name.size() + value.size();
    std::string key = "SCHILY.xattr.";
    for (const char byte : name) {
      if (byte == '%') key += "%25";
      else if (byte == '=') key += "%3D";
      else key += byte;
    }
    addRecord(records, key, value);
  }
}

void octal(char* block, size_t offset, int digits, uint64_t value) {
  for (int at = digits - 1; at >= 0; --at, value >>= 3) block[offset + at] = static_cast<char>('0' + (value & 7));
}

struct Ustar {
  std::string_view name;
  char flag;
  uint64_t mode, uid, gid, size;
  int64_t seconds;
  std::string_view link;
};

/** Values that do not fit are clamped here; a pax record before them holds the exact one. */
void addUstar(std::string& out, const Ustar& fields) {
  char block[kTarBlock] = {};
  std::memcpy(block, fields.name.data(), std::min(fields.name.size(), kNameBytes));
  octal(block, 100, 7, fields.mode);
  octal(block, 108, 7, std::min(fields.uid, kMaxOctal7));
  octal(block, 116, 7, std::min(fields.gid, kMaxOctal7));
  octal(block, 124, 11, fields.size > kMaxOctal11 ? 0 : fields.size);
  octal(block, 136, 11, std::min(static_cast<uint64_t>(std::max<int64_t>(fields.seconds, 0)), kMaxOctal11));
  std::memset(block + 148, ' ', 8);
  block[156] = fields.flag;
  std::memcpy(block + 157, fields.link.data(), std::min(fields.link.size(), kNameBytes));
  std::memcpy(block + 257, "ustar\0" "00", 8);
  octal(block, 329, 7, 0);
  octal(block, 337, 7, 0);
  uint32_t sum = 0;
  for (const char byte : block) sum += static_cast<uint8_t>(byte);
  octal(block, 148, 6, sum);
  block[154] = 0;
  out.append(block, sizeof block);
}

}  // namespace

std::string tarHeader(const Entry& entry, const uint64_t* storedBytes, std::string_view xattrs) {
  std::string path(entry.path);
  if (entry.type == Entry::kDirectory) path += '/';
  const bool isSparse = storedBytes != nullptr;
  const uint64_t size = isSparse ? *storedBytes : entry.size;
  const bool longPath = path.size() > kNameBytes;
  const bool longLink = entry.hasLink && entry.link.size() > kNameBytes;
  const bool named = longPath || isSparse;
  std::string records;
  // The one way pax has to say that a value is bytes; it must come before the names.
  if ((named && !isUtf8(path)) || (longLink && !isUtf8(entry.link))) addRecord(records, "hdrcharset", "BINARY");
  if (isSparse) {
    addRecord(records, "GNU.sparse.major", "1");
    addRecord(records, "GNU.sparse.minor", "0");
    addRecord(records, "GNU.sparse.name", path);
    addRecord(records, "GNU.sparse.realsize", std::to_string(entry.size));
    path = sparseName(path);
  } else if (longPath) {
    addRecord(records, "path", path);
  }
  if (longLink) addRecord(records, "linkpath", entry.link);
  if (size > kMaxOctal11) addRecord(records, "size", std::to_string(size));
  if (entry.uid > kMaxOctal7) addRecord(records, "uid", std::to_string(entry.uid));
  if (entry.gid > kMaxOctal7) addRecord(records, "gid", std::to_string(entry.gid));
  if (!fitsOctalSeconds(entry)) addRecord(records, "mtime", decimalSeconds(entry));
  addXattrs(records, xattrs);

  std::string out;
  if (!records.empty()) {
    addUstar(out, {kPaxName, 'x', 0644, 0, 0, records.size(), 0, {}});
    out.append(records).append(tarPadding(records.size()), '\0');
  }
  const std::string_view link = entry.hasLink ? entry.link : std::string_view();
  addUstar(out, {path, kTypeFlags[entry.type], entry.mode, entry.uid, entry.gid, size, entry.mtimeSeconds, link});
  return out;
}

}  // namespace xvault
