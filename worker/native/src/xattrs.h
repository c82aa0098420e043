#pragma once
#include <cstdint>
#include <string>

namespace xvault {

/** What a file has besides content and mode: names and values, packed one after the other with their lengths before them. */
struct Xattrs {
  std::string packed;
  uint32_t count = 0;
  /** Of how many it is known that they are missing, and what the first one was missed for; empty where nothing is. */
  uint32_t leftOut = 0;
  std::string reason;

  bool isComplete() const { return reason.empty(); }
  /** For a warning, where something is missing. */
  std::string lack() const;
};

/**
 * Those that are worth keeping: `user.*`, POSIX ACLs, and for root file capabilities; up to 1 MiB for a file. None where the file
 * system has none. What is worth keeping and not there is counted, never just absent.
 */
Xattrs readXattrs(int fd);

}  // namespace xvault
