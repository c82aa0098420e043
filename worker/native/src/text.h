#pragma once
#include <cstdint>
#include <string_view>

namespace xvault {

/** Well-formed UTF-8: no overlong forms, no surrogates, nothing over U+10FFFF. */
inline bool isUtf8(std::string_view text) {
  const auto* at = reinterpret_cast<const uint8_t*>(text.data());
  const auto* end = at + text.size();
  while (at < end) {
    const uint8_t lead = *at++;
    if (lead < 0x80) continue;
    int more;
    uint32_t code;
    uint32_t least;
    if (lead >= 0xc2 && lead <= 0xdf) more = 1, code = lead & 0x1f, least = 0x80;
    else if ((lead & 0xf0) == 0xe0) more = 2, code = lead & 0x0f, least = 0x800;
    else if (lead >= 0xf0 && lead <= 0xf4) more = 3, code = lead & 0x07, least = 0x10000;
    else return false;
    if (end - at < more) return false;
    for (; more > 0; --more, ++at) {
      if ((*at & 0xc0) != 0x80) return false;
      code = code << 6 | (*at & 0x3f);
    }
    if (code < least || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return false;
  }
  return true;
}

}  // namespace xvault
