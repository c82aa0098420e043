#pragma once
#include <sys/stat.h>

#include <optional>

#include "descriptor.h"
#include "directory-chain.h"
#include "records.h"

namespace xvault {

struct OpenedFile {
  Descriptor fd;
  struct stat stats;
};

/** Opens regular files by their paths below the root; what is asked for in the order of a walk is cheap. */
class FileOpener {
 public:
  explicit FileOpener(Root root) : chain_(root), follow_(root.follow) {}

  /** Nothing when something else has taken the name. Throws SystemError. */
  std::optional<OpenedFile> open(std::string_view path);
  /** A descriptor of a directory, valid until the next call; `.` is the root. Throws SystemError. */
  int directory(std::string_view path);

 private:
  DirectoryChain chain_;
  const Follow* follow_;
  std::string directory_;
  bool isPlaced_ = false;
  /** Leaving access times alone is allowed to the owner and to root; once refused, it is not tried again. */
  bool keepsAccessTime_ = true;

  void enter(std::string_view directory);
  /** A descriptor, or -1 with errno. */
  template <typename Open>
  int withAccessTime(Open open);
  std::optional<Descriptor> openFollowed(const char* name);
};

/** Whether a file is no longer what it was. */
inline bool differs(const struct stat& before, const struct stat& after) {
  return before.st_size != after.st_size || before.st_mtim.tv_sec != after.st_mtim.tv_sec ||
         before.st_mtim.tv_nsec != after.st_mtim.tv_nsec;
}

Entry entryOf(Entry::Type type, const struct stat& stats, std::string_view path);

}  // namespace xvault
