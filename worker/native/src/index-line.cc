#include "index-line.h"

#include <algorithm>
#include <cstdio>

#include "decimal-time.h"
#include "text.h"

namespace xvault {

namespace {

constexpr std::string_view kTypes[] = {"file", "directory", "symlink", "hardlink"};

void addJsonString(std::string& out, std::string_view text) {
  out += '"';
  for (const char byte : text) {
    const auto code = static_cast<uint8_t>(byte);
    if (byte == '"') out += "\\\"";
    else if (byte == '\\') out += "\\\\";
    else if (byte == '\b') out += "\\b";
    else if (byte == '\f') out += "\\f";
    else if (byte == '\n') out += "\\n";
    else if (byte == '\r') out += "\\r";
    else if (byte == '\t') out += "\\t";
    else if (code < 0x20) {
      char escaped[8];
      std::snprintf(escaped, sizeof escaped, "\\u%04x", code);
      out += escaped;
    } else out += byte;
  }
  out += '"';
}

void addBase64(std::string& out, std::string_view bytes) {
  static constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  out += '"';
  for (size_t at = 0; at < bytes.size(); at += 3) {
    const size_t have = std::min<size_t>(bytes.size() - at, 3);
    uint32_t group = static_cast<uint8_t>(bytes[at]) << 16;
    if (have > 1) group |= static_cast<uint8_t>(bytes[at + 1]) << 8;
    if (have > 2) group |= static_cast<uint8_t>(bytes[at + 2]);
    out += kDigits[group >> 18];
    out += kDigits[group >> 12 & 63];
    out += have > 1 ? kDigits[group >> 6 & 63] : '=';
    out += have > 2 ? kDigits[group & 63] : '=';
  }
  out += '"';
}

/** A name that is not UTF-8 stands in its `_b64` field. */
void addName(std::string& out, std::string_view key, std::string_view name) {
  out.append("\"").append(key);
  if (isUtf8(name)) {
    out += "\":";
    addJsonString(out, name);
  } else {
    out += "_b64\":";
    addBase64(out, name);
  }
}

void addNumber(std::string& out, std::string_view key, uint64_t value) {
  out.append(",\"").append(key).append("\":").append(std::to_string(value));
}

}  // namespace

void addIndexLine(std::string& out, const Entry& entry, const Place& place, uint64_t base) {
  static constexpr char kHex[] = "0123456789abcdef";
  out += '{';
  addName(out, "path", entry.path);
  out.append(",\"type\":\"").append(kTypes[entry.type]).append("\"");
  addNumber(out, "size", entry.size);
  if (place.padding > 0) addNumber(out, "padding", place.padding);
  if (place.isSparse) addNumber(out, "sparse", place.storedBytes);
  addNumber(out, "mode", entry.mode);
  addNumber(out, "uid", entry.uid);
  addNumber(out, "gid", entry.gid);
  out.append(",\"mtime\":\"").append(fixedSeconds(entry)).append("\"");
  if (entry.hasLink) {
    out += ',';
    addName(out, "link", entry.link);
  }
  if (!place.sha256.empty()) {
    out += ",\"sha256\":\"";
    for (const char byte : place.sha256) {
      out += kHex[static_cast<uint8_t>(byte) >> 4];
      out += kHex[static_cast<uint8_t>(byte) & 15];
    }
    out += '"';
  }
  addNumber(out, "offset", base + place.tarOffset);
  addNumber(out, "data_offset", base + place.dataOffset);
  if (place.xattrCount > 0) addNumber(out, "xattrs", place.xattrCount);
  if (!place.pack.empty()) {
    out += ",\"pack\":";
    addJsonString(out, place.pack);
  }
  out += "}\n";
}

}  // namespace xvault
