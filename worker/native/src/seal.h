#pragma once
#include <cstddef>
#include <cstdint>

namespace xvault {

constexpr size_t kAgeChunk = 64 * 1024;
constexpr size_t kAgeTag = 16;

/**
 * Encrypts chunks of age's STREAM from number `index` on: all of 64 KiB but for the last one of a file. Returns the bytes in
 * `target`. Throws std::runtime_error.
 */
size_t sealChunks(uint8_t* target, size_t targetBytes, const uint8_t* source, size_t sourceBytes, const uint8_t* key,
                  uint64_t index, bool endsFile);

}  // namespace xvault
