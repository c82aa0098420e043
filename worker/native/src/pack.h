#pragma once
#include <memory>

#include "open-file.h"
#include "records.h"

namespace xvault {

/** Where a thread puts a frame's tar before it is compressed; kept for its next frame. */
class Segment {
 public:
  void reset(size_t capacity);
  uint8_t* end() { return data_.get() + used_; }
  const uint8_t* data() const { return data_.get(); }
  size_t used() const { return used_; }
  bool fits(uint64_t bytes) const { return bytes <= capacity_ - used_; }
  /** What is there up to `bytes` more is kept. */
  void advance(size_t bytes) { used_ += bytes; }
  void append(std::string_view bytes);
  void padBlock();

 private:
  std::unique_ptr<uint8_t[]> data_;
  size_t capacity_ = 0;
  size_t used_ = 0;
};

struct PackOptions {
  uint32_t count;
  /** So many operations are passed over. */
  uint32_t from;
  /** Files that are larger now are left to the caller. */
  uint64_t mostFileBytes;
};

struct Packed {
  /** Operations from the first on that are settled; the next one finds no room. */
  uint32_t done = 0;
  uint64_t fileCount = 0;
  uint64_t sourceBytes = 0;
  /** Item and place of all that was put in; offsets are those in the segment. */
  RecordWriter records;
  uint32_t recordCount = 0;
  /** Number of the operation, then a skipped item: what is left out, changed meanwhile, or lacks some of its attributes. */
  RecordWriter notes;
  uint32_t noteCount = 0;
};

/** Makes tar of operations: items, of which the files are read below the root. Throws SystemError. */
Packed pack(Segment& segment, RecordReader operations, const PackOptions& options, Root root);

}  // namespace xvault
