#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "descriptor.h"

namespace xvault {

/** Which places symlinks may lead to. */
class Follow {
 public:
  /** Real paths without a slash at their ends. */
  explicit Follow(std::vector<std::string> roots) : roots_(std::move(roots)) {}

  /** What `name` in an open directory leads to, open for looking only. Throws SystemError. */
  static Descriptor find(int directory, const char* name);
  /** Judged by where the descriptor really is, so that nothing swapped meanwhile leads further. */
  bool allows(const Descriptor& found) const;
  /** Finds, judges and opens. Throws SystemError, EACCES where it may not lead. */
  Descriptor open(int directory, const char* name, int flags) const;
  static Descriptor reopen(const Descriptor& found, int flags);

 private:
  const std::vector<std::string> roots_;
};

/** Where paths begin, and whether symlinks below it are followed. */
struct Root {
  int fd;
  const Follow* follow;
};

}  // namespace xvault
