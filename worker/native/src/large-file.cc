#include "large-file.h"

#include <fcntl.h>

#include "read-fully.h"
#include "system-error.h"

namespace xvault {

LargeFile::LargeFile(int fd) : fd_(::fcntl(fd, F_DUPFD_CLOEXEC, 0)), hash_(EVP_MD_CTX_new(), EVP_MD_CTX_free) {
  if (!fd_.isOpen()) throw SystemError("dup", errno);
  if (!hash_ || EVP_DigestInit_ex(hash_.get(), EVP_sha256(), nullptr) != 1) throw std::runtime_error("hashing failed");
}

LargeFile::Read LargeFile::read(Segment& segment, const Piece& piece) {
  Read done;
  try {
    for (const Extent& extent : piece.extents) done.dataBytes += extent.length;
    if (!segment.fits(piece.prefix.size() + done.dataBytes + 512)) throw std::runtime_error("a piece is larger than a frame");
    segment.append(piece.prefix);
    for (const Extent& extent : piece.extents) {
      const size_t have = readFully(fd_.get(), segment.end(), extent.length, extent.offset);
      std::memset(segment.end() + have, 0, extent.length - have);
      done.missingBytes += extent.length - have;
      segment.advance(extent.length);
    }
  } catch (...) {
    fail();
    throw;
  }
  hashInTurn(piece, segment.data() + piece.hashedFrom, segment.used() - piece.hashedFrom);
  if (piece.isLast) segment.padBlock();
  return done;
}

void LargeFile::hashInTurn(const Piece& piece, const uint8_t* data, size_t size) {
  {
    // Threads take pieces in order, so whoever's turn it is has begun already.
    std::unique_lock lock(mutex_);
    turns_.wait(lock, [&] { return turn_ == piece.number || hasFailed_; });
    if (hasFailed_) throw std::runtime_error("another piece of the file could not be read");
  }
  const int done = EVP_DigestUpdate(hash_.get(), data, size);
  const std::lock_guard lock(mutex_);
  turn_ += 1;
  hasFailed_ |= done != 1;
  turns_.notify_all();
}

void LargeFile::fail() {
  const std::lock_guard lock(mutex_);
  hasFailed_ = true;
  turns_.notify_all();
}

std::string LargeFile::digest() {
  const std::lock_guard lock(mutex_);
  std::string digest(32, '\0');
  if (hasFailed_ || EVP_DigestFinal_ex(hash_.get(), reinterpret_cast<uint8_t*>(digest.data()), nullptr) != 1) {
    throw std::runtime_error("hashing failed");
  }
  return digest;
}

}  // namespace xvault
