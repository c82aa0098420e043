#pragma once
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>

#include "system-error.h"

namespace xvault {

/** As much as there is, up to `length`. Throws SystemError. */
inline size_t readFully(int fd, uint8_t* into, size_t length, uint64_t offset) {
  size_t have = 0;
  while (have < length) {
    const ssize_t got = ::pread(fd, into + have, length - have, static_cast<off_t>(offset + have));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw SystemError("read", errno);
    if (got == 0) break;
    have += static_cast<size_t>(got);
  }
  return have;
}

}  // namespace xvault
