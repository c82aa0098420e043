#include "directory-chain.h"

#include <fcntl.h>

#include <algorithm>

#include "system-error.h"

namespace xvault {

namespace {

/** Descriptors held at a time; of a deeper tree the upper ones are closed and opened again on the way back. */
constexpr size_t kOpenLevels = 200;

Descriptor openDirectory(int parent, const char* name, const Follow* follow) {
  const int fd = ::openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  const bool isLink = fd < 0 && (errno == ENOTDIR || errno == ELOOP);
  if (isLink && follow != nullptr) return follow->open(parent, name, O_RDONLY | O_DIRECTORY);
  if (fd < 0) throw SystemError("open", errno);
  return Descriptor(fd);
}

}  // namespace

int DirectoryChain::current() {
  if (fds_.empty()) return root_.fd;
  if (fds_.back().isOpen()) return fds_.back().get();
  // Again from the root on, keeping the deepest ones open.
  Descriptor from;
  lowestOpen_ = 0;
  for (size_t level = 0; level < fds_.size(); ++level) {
    const int parent = level == 0 ? root_.fd : fds_[level - 1].get();
    if (!fds_[level].isOpen()) fds_[level] = openDirectory(parent, names_[level].c_str(), root_.follow);
    if (level >= kOpenLevels) fds_[level - kOpenLevels].reset();
  }
  lowestOpen_ = fds_.size() > kOpenLevels ? fds_.size() - kOpenLevels : 0;
  return fds_.back().get();
}

void DirectoryChain::push(std::string_view name) {
  std::string owned(name);
  Descriptor opened = openDirectory(current(), owned.c_str(), root_.follow);
  names_.push_back(std::move(owned));
  fds_.push_back(std::move(opened));
  evict();
}

void DirectoryChain::pop() {
  names_.pop_back();
  fds_.pop_back();
  lowestOpen_ = std::min(lowestOpen_, fds_.size());
}

void DirectoryChain::enter(std::string_view path) {
  size_t at = 0;
  size_t same = 0;
  const auto partAt = [&](size_t from) { return path.substr(from, std::min(path.find('/', from), path.size()) - from); };
  for (; at < path.size() && same < names_.size(); ++same) {
    const std::string_view part = partAt(at);
    if (part != names_[same]) break;
    at += part.size() + 1;
  }
  while (depth() > same) pop();
  while (at < path.size()) {
    const std::string_view part = partAt(at);
    push(part);
    at += part.size() + 1;
  }
}

void DirectoryChain::evict() {
  while (fds_.size() - lowestOpen_ > kOpenLevels) fds_[lowestOpen_++].reset();
}

}  // namespace xvault
