#pragma once
#include <cstdio>
#include <string>

#include "records.h"

namespace xvault {

/** Exact seconds as a decimal with nine digits of fraction: `12.500000000`, `-1.000000001`. */
inline std::string fixedSeconds(const Entry& entry) {
  const bool isNegative = entry.mtimeSeconds < 0;
  // Seconds and nanoseconds both count forward; a decimal's digits count away from zero.
  const bool borrows = isNegative && entry.mtimeNanos > 0;
  const uint64_t forward = static_cast<uint64_t>(entry.mtimeSeconds) + (borrows ? 1 : 0);
  const uint64_t seconds = isNegative ? 0 - forward : forward;
  const uint32_t nanos = borrows ? 1'000'000'000 - entry.mtimeNanos : entry.mtimeNanos;
  char text[40];
  std::snprintf(text, sizeof text, "%s%llu.%09u", isNegative ? "-" : "", static_cast<unsigned long long>(seconds), nanos);
  return text;
}

}  // namespace xvault
