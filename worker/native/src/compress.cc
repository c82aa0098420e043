#define ZSTD_STATIC_LINKING_ONLY
#include "compress.h"

#include <stdexcept>

namespace xvault {

namespace {

/** A whole frame of any size that is written here: zstd lowers it to what the frame needs. */
constexpr int kWindowLog = 23;

/** From this level on the caller asks for size rather than speed. */
constexpr int kThoroughLevel = 4;

/**
 * The usual level searches with one hash table, wide enough to make up for the second one that zstd has there: a fifth less CPU for
 * two percent more bytes, measured on a tree of programs, texts and packages in frames of 4 MiB.
 */
constexpr int kUsualLevel = 3;
constexpr int kUsualHashLog = 17;
constexpr int kUsualMinMatch = 6;

size_t checked(size_t result) {
  if (ZSTD_isError(result)) throw std::runtime_error(ZSTD_getErrorName(result));
  return result;
}

}  // namespace

Compressor::Compressor() : context_(ZSTD_createCCtx(), ZSTD_freeCCtx) {
  if (!context_) throw std::bad_alloc();
}

void Compressor::set(ZSTD_cParameter parameter, int value) {
  checked(ZSTD_CCtx_setParameter(context_.get(), parameter, value));
}

size_t Compressor::frame(uint8_t* target, size_t targetBytes, const uint8_t* source, size_t sourceBytes, int level) {
  if (level != level_) {
    checked(ZSTD_CCtx_reset(context_.get(), ZSTD_reset_session_and_parameters));
    set(ZSTD_c_compressionLevel, level);
    set(ZSTD_c_windowLog, kWindowLog);
    // Looking for better block borders costs the fast levels a tenth of their time, and gains half a percent.
    if (level < kThoroughLevel) set(ZSTD_c_blockSplitterLevel, 1);
    if (level == kUsualLevel) {
      set(ZSTD_c_strategy, ZSTD_fast);
      set(ZSTD_c_hashLog, kUsualHashLog);
      set(ZSTD_c_minMatch, kUsualMinMatch);
    }
    level_ = level;
  }
  return checked(ZSTD_compress2(context_.get(), target, targetBytes, source, sourceBytes));
}

}  // namespace xvault
