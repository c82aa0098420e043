#include "follow.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <climits>

#include "system-error.h"

namespace xvault {

namespace {

std::string ownPath(int fd) { return "/proc/self/fd/" + std::to_string(fd); }

bool isWithin(std::string_view root, std::string_view path) {
  if (root == "/") return true;
  return path.starts_with(root) && (path.size() == root.size() || path[root.size()] == '/');
}

}  // namespace

Descriptor Follow::find(int directory, const char* name) {
  const int fd = ::openat(directory, name, O_PATH | O_CLOEXEC);
  if (fd < 0) throw SystemError("open", errno);
  return Descriptor(fd);
}

bool Follow::allows(const Descriptor& found) const {
  char path[PATH_MAX];
  const ssize_t length = ::readlink(ownPath(found.get()).c_str(), path, sizeof path);
  if (length <= 0 || static_cast<size_t>(length) == sizeof path) return false;
  const std::string_view real(path, static_cast<size_t>(length));
  return std::any_of(roots_.begin(), roots_.end(), [real](const std::string& root) { return isWithin(root, real); });
}

Descriptor Follow::reopen(const Descriptor& found, int flags) {
  const int fd = ::open(ownPath(found.get()).c_str(), flags | O_CLOEXEC);
  if (fd < 0) throw SystemError("open", errno);
  return Descriptor(fd);
}

Descriptor Follow::open(int directory, const char* name, int flags) const {
  const Descriptor found = find(directory, name);
  if (!allows(found)) throw SystemError("follow", EACCES);
  return reopen(found, flags);
}

}  // namespace xvault
