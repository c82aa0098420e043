#pragma once
#include <string>

#include "records.h"

namespace xvault {

constexpr size_t kTarBlock = 512;

inline size_t tarPadding(uint64_t size) { return static_cast<size_t>((kTarBlock - size % kTarBlock) % kTarBlock); }

/**
 * The blocks before a member's content: a pax header where ustar alone would lose something, then the ustar header.
 * `storedBytes` is set for a sparse file (GNU format 1.0): its map and data, which are what follows. `xattrs` as Xattrs packs them.
 */
std::string tarHeader(const Entry& entry, const uint64_t* storedBytes = nullptr, std::string_view xattrs = {});

}  // namespace xvault
