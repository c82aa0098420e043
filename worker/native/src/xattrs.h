#pragma once
#include <cstdint>
#include <string>

namespace xvault {

/** What a file has besides content and mode: names and values, packed one after the other with their lengths before them. */
struct Xattrs {
  std::string packed;
  uint32_t count = 0;
};

/**
 * Those that are worth keeping: `user.*`, POSIX ACLs, and for root file capabilities; up to 1 MiB for a file. None where the file
 * system has none.
 */
Xattrs readXattrs(int fd);

}  // namespace xvault
