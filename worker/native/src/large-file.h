#pragma once
#include <openssl/evp.h>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>

#include "descriptor.h"
#include "pack.h"
#include "sparse.h"

namespace xvault {

/** What comes into one frame of a large file. */
struct Piece {
  /** Pieces are hashed in the order of their numbers, from 0 on. */
  uint32_t number;
  bool isLast;
  /** Headers and map; hashed from `hashedFrom` on. */
  std::string prefix;
  size_t hashedFrom;
  std::vector<Extent> extents;
};

/** A file that several threads read at once and one after the other hash. */
class LargeFile {
 public:
  /** Duplicates the descriptor. Throws SystemError. */
  explicit LargeFile(int fd);

  struct Read {
    uint64_t dataBytes = 0;
    /** Zeros among them that stand for what the file no longer had. */
    uint64_t missingBytes = 0;
  };
  /** Into an empty segment. */
  Read read(Segment& segment, const Piece& piece);
  /** SHA-256 of all pieces; once, when the last one is read. */
  std::string digest();

 private:
  void hashInTurn(const Piece& piece, const uint8_t* data, size_t size);
  void fail();

  Descriptor fd_;
  std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> hash_;
  std::mutex mutex_;
  std::condition_variable turns_;
  uint32_t turn_ = 0;
  bool hasFailed_ = false;
};

}  // namespace xvault
