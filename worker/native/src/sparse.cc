#include "sparse.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "system-error.h"
#include "tar-header.h"

namespace xvault {

namespace {
/** More pieces than this are stored as if there were no holes: a map must not become what costs. */
constexpr size_t kMostExtents = 65'536;
}  // namespace

bool findHoles(int fd, const struct stat& stats, SparseMap& found) {
  const off_t size = stats.st_size;
  if (static_cast<off_t>(stats.st_blocks) * 512 >= size) return false;
  for (off_t at = 0; at < size;) {
    const off_t data = ::lseek(fd, at, SEEK_DATA);
    if (data < 0 && errno == ENXIO) break;
    if (data < 0 && (errno == EINVAL || errno == EOPNOTSUPP)) return false;
    if (data < 0) throw SystemError("lseek", errno);
    if (data >= size) break;
    const off_t hole = ::lseek(fd, data, SEEK_HOLE);
    if (hole < 0 && errno != ENXIO) throw SystemError("lseek", errno);
    // The file has shrunk meanwhile.
    if (hole <= data) break;
    const off_t end = hole < size ? hole : size;
    found.extents.push_back({static_cast<uint64_t>(data), static_cast<uint64_t>(end - data)});
    found.dataBytes += static_cast<uint64_t>(end - data);
    if (found.extents.size() > kMostExtents) return false;
    at = end;
  }
  return found.dataBytes < static_cast<uint64_t>(size);
}

std::string SparseMap::text(uint64_t realSize) const {
  // A hole at the end is told by an empty piece there.
  const bool endsInHole = extents.empty() || extents.back().offset + extents.back().length < realSize;
  std::string lines = std::to_string(extents.size() + (endsInHole ? 1 : 0)) + "\n";
  for (const Extent& extent : extents) {
    lines.append(std::to_string(extent.offset)).append("\n").append(std::to_string(extent.length)).append("\n");
  }
  if (endsInHole) lines.append(std::to_string(realSize)).append("\n0\n");
  return lines.append(tarPadding(lines.size()), '\0');
}

}  // namespace xvault
