#define ZSTD_STATIC_LINKING_ONLY
#include "compress.h"

#include <stdexcept>

namespace xvault {

namespace {

/** A whole frame of any size that is written here: zstd lowers it to what the frame needs. */
constexpr int kWindowLog = 23;

/** From this level on the caller asks for size rather than speed. */
constexpr int kThoroughLevel = 4;

size_t checked(size_t result) {
  if (ZSTD_isError(result)) throw std::runtime_error(ZSTD_getErrorName(result));
  return result;
}

}  // namespace

Compressor::Compressor() : context_(ZSTD_createCCtx(), ZSTD_freeCCtx) {
  if (!context_) throw std::bad_alloc();
}

size_t Compressor::frame(uint8_t* target, size_t targetBytes, const uint8_t* source, size_t sourceBytes, int level) {
  if (level != level_) {
    checked(ZSTD_CCtx_reset(context_.get(), ZSTD_reset_session_and_parameters));
    checked(ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_compressionLevel, level));
    checked(ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_windowLog, kWindowLog));
    // Looking for better block borders costs the fast levels a tenth of their time, and gains half a percent.
    if (level < kThoroughLevel) checked(ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_blockSplitterLevel, 1));
    level_ = level;
  }
  return checked(ZSTD_compress2(context_.get(), target, targetBytes, source, sourceBytes));
}

}  // namespace xvault
