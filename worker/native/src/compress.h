#pragma once
#include <zstd.h>

#include <climits>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace xvault {

/** zstd with a context that is used again. Not to be shared between threads. */
class Compressor {
 public:
  Compressor();
  /** One frame that states its content's size. Throws std::runtime_error. */
  size_t frame(uint8_t* target, size_t targetBytes, const uint8_t* source, size_t sourceBytes, int level);

 private:
  void set(ZSTD_cParameter parameter, int value);

  std::unique_ptr<ZSTD_CCtx, size_t (*)(ZSTD_CCtx*)> context_;
  int level_ = INT_MIN;
};

}  // namespace xvault
