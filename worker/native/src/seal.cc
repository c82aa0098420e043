#include "seal.h"

#include <openssl/evp.h>

#include <algorithm>
#include <memory>
#include <stdexcept>

namespace xvault {

namespace {

/** 11 bytes of big-endian counter, then 1 for the last chunk. */
void writeNonce(uint8_t nonce[12], uint64_t index, bool isLast) {
  std::fill(nonce, nonce + 12, uint8_t{0});
  for (int at = 10; at >= 3; --at, index >>= 8) nonce[at] = static_cast<uint8_t>(index);
  nonce[11] = isLast ? 1 : 0;
}

void check(int done) {
  if (done != 1) throw std::runtime_error("encryption failed");
}

}  // namespace

size_t sealChunks(uint8_t* target, size_t targetBytes, const uint8_t* source, size_t sourceBytes, const uint8_t* key,
                  uint64_t index, bool endsFile) {
  const size_t chunks = endsFile ? std::max<size_t>((sourceBytes + kAgeChunk - 1) / kAgeChunk, 1) : sourceBytes / kAgeChunk;
  if (!endsFile && sourceBytes % kAgeChunk != 0) throw std::runtime_error("only a file's last chunk may be short");
  if (targetBytes < sourceBytes + chunks * kAgeTag) throw std::runtime_error("no room for the ciphertext");
  const std::unique_ptr<EVP_CIPHER_CTX, void (*)(EVP_CIPHER_CTX*)> context(EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_free);
  if (!context) throw std::bad_alloc();
  check(EVP_EncryptInit_ex(context.get(), EVP_chacha20_poly1305(), nullptr, key, nullptr));
  uint8_t* out = target;
  for (size_t chunk = 0; chunk < chunks; ++chunk) {
    const size_t at = chunk * kAgeChunk;
    const size_t length = std::min(sourceBytes - at, kAgeChunk);
    uint8_t nonce[12];
    writeNonce(nonce, index + chunk, endsFile && chunk + 1 == chunks);
    int written = 0;
    check(EVP_EncryptInit_ex(context.get(), nullptr, nullptr, nullptr, nonce));
    check(EVP_EncryptUpdate(context.get(), out, &written, source + at, static_cast<int>(length)));
    out += length;
    check(EVP_EncryptFinal_ex(context.get(), out, &written));
    check(EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_GET_TAG, kAgeTag, out));
    out += kAgeTag;
  }
  return static_cast<size_t>(out - target);
}

}  // namespace xvault
