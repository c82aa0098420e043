#pragma once
#include <atomic>
#include <cstdint>
#include <string>

#include "descriptor.h"

namespace xvault {

/** What another process writes. One read at a time. */
class Pipe {
 public:
  /** Throws SystemError. */
  Pipe();

  /** The other end, closed in what is started later; the caller's. */
  int releaseWriteEnd() { return writeEnd_.release(); }

  struct Read {
    /** In the buffer, with what was there before. */
    size_t bytes = 0;
    bool ended = false;
    /** Nothing came for too long. */
    bool stalled = false;
    /** SHA-256 of all of them. */
    std::string digest;
  };
  /** Fills a buffer of which the first `filled` bytes are there already. Throws SystemError. */
  Read fill(uint8_t* buffer, size_t size, size_t filled, uint64_t stallMs);
  /** Ends a read that waits, as if the end had come. */
  void close() { isClosed_ = true; }

 private:
  /** False when nothing came for `stallMs`. */
  bool wait(uint64_t stallMs) const;

  Descriptor readEnd_, writeEnd_;
  std::atomic<bool> isClosed_ = false;
};

}  // namespace xvault
