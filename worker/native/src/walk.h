#pragma once
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "directory-chain.h"
#include "records.h"

namespace xvault {

/**
 * Everything below a root: parents first, names in byte order. Holds the names of one directory per level and nothing else.
 */
class Walk {
 public:
  /** The descriptor stays the caller's. */
  Walk(int rootFd, bool oneFileSystem) : chain_(rootFd), oneFileSystem_(oneFileSystem) {}

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

 private:
  struct Level {
    /** Path below the root with a closing slash; empty for the root. */
    std::string prefix;
    std::vector<std::string> names;
    size_t next = 0;
  };
  struct Item {
    bool isSkipped = false;
    Entry entry;
    std::string path, link, hardLinkKey;
    std::string code, detail;
  };

  DirectoryChain chain_;
  const bool oneFileSystem_;
  bool began_ = false;
  uint64_t rootDevice_ = 0;
  std::vector<Level> stack_;
  /** A directory that was given and is to be gone into; its name and path. */
  bool hasPending_ = false;
  std::string pendingName_, pendingPath_;
  std::set<std::string> countedLinks_;

  /** False at the end. */
  bool step(Item& item);
  void look(const std::string& name, Item& item);
  bool enterPending(Item& item);
};

}  // namespace xvault
