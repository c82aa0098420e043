#include "xattrs.h"

#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <vector>

namespace xvault {

namespace {

constexpr size_t kMostBytes = 1024 * 1024;
/** What Linux allows at all, for a list of names and for a value. */
constexpr size_t kLongest = 64 * 1024;

bool isKept(std::string_view name) {
  if (name.starts_with("user.")) return true;
  if (name == "system.posix_acl_access" || name == "system.posix_acl_default") return true;
  static const bool isRoot = ::geteuid() == 0;
  return isRoot && name == "security.capability";
}

void addSized(std::string& packed, const char* data, size_t size) {
  const auto length = static_cast<uint32_t>(size);
  packed.append(reinterpret_cast<const char*>(&length), sizeof length).append(data, size);
}

void miss(Xattrs& found, const char* reason) {
  found.leftOut += 1;
  if (found.reason.empty()) found.reason = reason;
}

void addOne(int fd, const std::string& name, Xattrs& found) {
  std::vector<char> value(kLongest);
  const ssize_t size = ::fgetxattr(fd, name.c_str(), value.data(), value.size());
  // Gone meanwhile, or only a name.
  if (size < 0 && (errno == ENODATA || errno == ENOTSUP)) return;
  if (size < 0) return miss(found, std::strerror(errno));
  if (found.packed.size() + name.size() + static_cast<size_t>(size) > kMostBytes) return miss(found, "more than 1 MiB");
  addSized(found.packed, name.data(), name.size());
  addSized(found.packed, value.data(), static_cast<size_t>(size));
  found.count += 1;
}

void addAll(int fd, std::string_view names, Xattrs& found) {
  while (!names.empty()) {
    const std::string name(names.substr(0, names.find('\0')));
    names.remove_prefix(std::min(name.size() + 1, names.size()));
    if (isKept(name)) addOne(fd, name, found);
  }
}

}  // namespace

std::string Xattrs::lack() const {
  const std::string some = leftOut == 0 ? "extended attributes" : std::to_string(leftOut) + " extended attributes";
  return some + " are left out: " + reason;
}

Xattrs readXattrs(int fd) {
  Xattrs found;
  char few[1024];
  ssize_t size = ::flistxattr(fd, few, sizeof few);
  if (size > 0) addAll(fd, {few, static_cast<size_t>(size)}, found);
  if (size >= 0) return found;
  if (errno == ERANGE) {
    std::vector<char> many(kLongest);
    size = ::flistxattr(fd, many.data(), many.size());
    if (size > 0) addAll(fd, {many.data(), static_cast<size_t>(size)}, found);
  }
  // With more names than Linux can tell of (E2BIG), nobody knows how many there are.
  if (size < 0 && errno != ENOTSUP && errno != ENOSYS) found.reason = std::string("no list: ") + std::strerror(errno);
  return found;
}

}  // namespace xvault
