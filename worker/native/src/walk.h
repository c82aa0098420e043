#pragma once
#include <sys/stat.h>

#include <atomic>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "directory-chain.h"
#include "hash-set.h"
#include "records.h"

namespace xvault {

/** What is not even looked at, by exact bytes. The value tells whether only directories are meant. */
struct Exclusions {
  std::map<std::string, bool, std::less<>> names;
  std::map<std::string, bool, std::less<>> paths;
};

/**
 * Everything below a root: parents first, names in byte order. Holds the names of one directory per level and nothing else.
 */
class Walk {
 public:
  /** The descriptor stays the caller's. */
  Walk(Root root, bool oneFileSystem, Exclusions exclusions)
      : chain_(root), follow_(root.follow), oneFileSystem_(oneFileSystem), exclusions_(std::move(exclusions)) {}

  struct Page {
    RecordWriter records;
    uint32_t count = 0;
    bool ended = false;
  };
  /** The next items. Throws SystemError when the walk cannot go on. */
  Page next(uint32_t mostItems, size_t mostBytes);

  struct Count {
    double files = 0;
    double bytes = 0;
    bool ended = false;
  };
  /** Counts some more of what {@link next} would give. Further names of one file bring no bytes. */
  Count count(uint32_t mostItems);
  /** A directory, given already, of which nothing more is wanted. From any thread. */
  void skip(std::string path);

 private:
  struct Level {
    /** Path below the root with a closing slash; empty for the root. */
    std::string prefix;
    std::vector<std::string> names;
    size_t next = 0;
    /** Which directory it is: known only where symlinks are followed. */
    uint64_t device = 0, inode = 0;
  };
  struct Item {
    bool isSkipped = false;
    Entry entry;
    std::string path, link, hardLinkKey;
    std::string code, detail;
  };

  DirectoryChain chain_;
  const Follow* follow_;
  const bool oneFileSystem_;
  const Exclusions exclusions_;
  bool began_ = false;
  uint64_t rootDevice_ = 0;
  std::vector<Level> stack_;
  /** A directory that was given and is to be gone into; its name and path. */
  bool hasPending_ = false;
  std::string pendingName_, pendingPath_;
  uint64_t pendingDevice_ = 0, pendingInode_ = 0;
  /** What is said of the item before. */
  std::optional<Item> remark_;
  std::mutex skipMutex_;
  std::vector<std::string> skips_;
  std::atomic<bool> hasSkips_ = false;
  /** Only for the count, which is an estimate of what will be read. */
  HashSet countedLinks_;

  /** False at the end. */
  bool step(Item& item);
  void look(const std::string& name, Item& item);
  void lookAtDirectory(const std::string& name, const struct stat& stats, Item& item);
  void followLink(const std::string& name, Item& item);
  void remark(const Item& item, const char* detail);
  bool isAbove(const struct stat& stats) const;
  bool isExcluded(const std::string& name, const std::string& path, bool isDirectory) const;
  void leave(const std::string& path);
  void leaveSkipped();
  bool enterPending(Item& item);
};

}  // namespace xvault
