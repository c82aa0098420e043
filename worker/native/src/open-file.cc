#include "open-file.h"

#include <fcntl.h>

#include "system-error.h"

namespace xvault {

std::optional<OpenedFile> FileOpener::open(std::string_view path) {
  const size_t slash = path.rfind('/');
  const std::string_view directory = slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
  if (!isPlaced_ || directory != directory_) {
    isPlaced_ = false;
    chain_.enter(directory);
    directory_ = directory;
    isPlaced_ = true;
  }
  const std::string name(slash == std::string_view::npos ? path : path.substr(slash + 1));
  // O_NONBLOCK: a pipe that has taken the file's name must not hold the thread until somebody writes to it.
  constexpr int kFlags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
  int fd = ::openat(chain_.current(), name.c_str(), keepsAccessTime_ ? kFlags | O_NOATIME : kFlags);
  if (fd < 0 && errno == EPERM && keepsAccessTime_) {
    keepsAccessTime_ = false;
    fd = ::openat(chain_.current(), name.c_str(), kFlags);
  }
  if (fd < 0) throw SystemError("open", errno);
  OpenedFile opened{Descriptor(fd), {}};
  if (::fstat(fd, &opened.stats) != 0) throw SystemError("fstat", errno);
  if (!S_ISREG(opened.stats.st_mode)) return std::nullopt;
  return opened;
}

Entry entryOf(Entry::Type type, const struct stat& stats, std::string_view path) {
  Entry entry;
  entry.type = type;
  entry.size = type == Entry::kFile ? static_cast<uint64_t>(stats.st_size) : 0;
  entry.mode = stats.st_mode & 07777;
  entry.uid = stats.st_uid;
  entry.gid = stats.st_gid;
  entry.mtimeSeconds = stats.st_mtim.tv_sec;
  entry.mtimeNanos = static_cast<uint32_t>(stats.st_mtim.tv_nsec);
  entry.path = path;
  return entry;
}

}  // namespace xvault
