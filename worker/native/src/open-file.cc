#include "open-file.h"

#include <fcntl.h>

#include "system-error.h"

namespace xvault {

namespace {
// O_NONBLOCK: a pipe that has taken the file's name must not hold the thread until somebody writes to it.
constexpr int kFlags = O_RDONLY | O_NONBLOCK | O_CLOEXEC;
}  // namespace

std::optional<OpenedFile> FileOpener::open(std::string_view path) {
  const size_t slash = path.rfind('/');
  enter(slash == std::string_view::npos ? std::string_view() : path.substr(0, slash));
  const std::string name(slash == std::string_view::npos ? path : path.substr(slash + 1));
  const int fd = withAccessTime([&](int flags) { return ::openat(chain_.current(), name.c_str(), flags | O_NOFOLLOW); });
  OpenedFile opened{Descriptor(fd), {}};
  if (fd < 0) {
    if (errno != ELOOP || follow_ == nullptr) throw SystemError("open", errno);
    std::optional<Descriptor> followed = openFollowed(name.c_str());
    if (!followed) return std::nullopt;
    opened.fd = std::move(*followed);
  }
  if (::fstat(opened.fd.get(), &opened.stats) != 0) throw SystemError("fstat", errno);
  if (!S_ISREG(opened.stats.st_mode)) return std::nullopt;
  return opened;
}

/** Nothing where a symlink leads to no file. */
std::optional<Descriptor> FileOpener::openFollowed(const char* name) {
  const Descriptor found = Follow::find(chain_.current(), name);
  if (!follow_->allows(found)) throw SystemError("follow", EACCES);
  struct stat stats;
  if (::fstat(found.get(), &stats) != 0) throw SystemError("fstat", errno);
  // To open a device can do something to it.
  if (!S_ISREG(stats.st_mode)) return std::nullopt;
  const std::string path = "/proc/self/fd/" + std::to_string(found.get());
  Descriptor opened(withAccessTime([&](int flags) { return ::open(path.c_str(), flags); }));
  if (!opened.isOpen()) throw SystemError("open", errno);
  return opened;
}

template <typename Open>
int FileOpener::withAccessTime(Open open) {
  if (!keepsAccessTime_) return open(kFlags);
  const int fd = open(kFlags | O_NOATIME);
  if (fd >= 0 || errno != EPERM) return fd;
  keepsAccessTime_ = false;
  return open(kFlags);
}

int FileOpener::directory(std::string_view path) {
  enter(path == "." ? std::string_view() : path);
  return chain_.current();
}

void FileOpener::enter(std::string_view directory) {
  if (isPlaced_ && directory == directory_) return;
  isPlaced_ = false;
  chain_.enter(directory);
  directory_ = directory;
  isPlaced_ = true;
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
