#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "descriptor.h"
#include "follow.h"

namespace xvault {

/**
 * A place in a tree that moves one directory at a time. Each step opens by name in the directory before and never follows a
 * symlink, so nothing that is swapped meanwhile leads out of the root; where the root says so, symlinks are followed to where they
 * may lead. Calls throw SystemError.
 */
class DirectoryChain {
 public:
  /** The root's descriptor stays the caller's. */
  explicit DirectoryChain(Root root) : root_(root) {}

  size_t depth() const { return names_.size(); }
  /** A descriptor of the current directory, valid until the next move. */
  int current();
  /** Stays where it is when it throws. */
  void push(std::string_view name);
  void pop();
  /** Goes to the directory of this path below the root, keeping what is the same. */
  void enter(std::string_view path);

 private:
  const Root root_;
  std::vector<std::string> names_;
  /** Of each level below the root; closed where too many would be open. */
  std::vector<Descriptor> fds_;
  /** Levels below this one are closed. */
  size_t lowestOpen_ = 0;

  void evict();
};

}  // namespace xvault
