#pragma once
#include <sys/stat.h>

#include <string>
#include <vector>

namespace xvault {

struct Extent {
  uint64_t offset;
  uint64_t length;
};

/** The data of a file with holes, in order; nothing when it has none that are worth it. */
struct SparseMap {
  std::vector<Extent> extents;
  uint64_t dataBytes = 0;

  /** As GNU format 1.0 puts it before the data: decimal lines, filled up to a tar block. */
  std::string text(uint64_t realSize) const;
};

/** Throws SystemError. `found` is left empty for a file without holes, or with more pieces than are worth a map. */
bool findHoles(int fd, const struct stat& stats, SparseMap& found);

}  // namespace xvault
