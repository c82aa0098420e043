#include "pipe.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <poll.h>

#include <algorithm>
#include <chrono>
#include <memory>

#include "system-error.h"

namespace xvault {

namespace {

/** So that the writer goes on while what it wrote is hashed. A machine that allows less gives less. */
constexpr int kPipeBytes = 1024 * 1024;
/** Hashed while it is in the cache. */
constexpr size_t kMostPerRead = 256 * 1024;
/** How soon a closed pipe is noticed. */
constexpr int kTurnMs = 100;

void checkHash(int result) {
  if (result != 1) throw std::runtime_error("hashing failed");
}

}  // namespace

Pipe::Pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw SystemError("pipe", errno);
  readEnd_.reset(ends[0]);
  writeEnd_.reset(ends[1]);
  ::fcntl(ends[1], F_SETPIPE_SZ, kPipeBytes);
  // Only here: the writer expects to wait.
  if (::fcntl(ends[0], F_SETFL, O_NONBLOCK) != 0) throw SystemError("fcntl", errno);
}

Pipe::Read Pipe::fill(uint8_t* buffer, size_t size, size_t filled, uint64_t stallMs) {
  const std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> hash(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  checkHash(EVP_DigestInit_ex(hash.get(), EVP_sha256(), nullptr));
  checkHash(EVP_DigestUpdate(hash.get(), buffer, filled));
  Read read{filled, false, false, std::string(32, '\0')};
  while (read.bytes < size && !read.ended && !read.stalled) {
    const size_t most = std::min(size - read.bytes, kMostPerRead);
    const ssize_t got = ::read(readEnd_.get(), buffer + read.bytes, most);
    if (got < 0 && errno == EAGAIN) {
      read.stalled = !wait(stallMs);
    } else if (got < 0) {
      if (errno != EINTR) throw SystemError("read", errno);
    } else {
      checkHash(EVP_DigestUpdate(hash.get(), buffer + read.bytes, static_cast<size_t>(got)));
      read.bytes += static_cast<size_t>(got);
      read.ended = got == 0;
    }
    read.ended |= isClosed_;
  }
  checkHash(EVP_DigestFinal_ex(hash.get(), reinterpret_cast<uint8_t*>(read.digest.data()), nullptr));
  return read;
}

bool Pipe::wait(uint64_t stallMs) const {
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(stallMs);
  pollfd waiting{readEnd_.get(), POLLIN, 0};
  while (!isClosed_ && std::chrono::steady_clock::now() < end) {
    if (::poll(&waiting, 1, kTurnMs) > 0) return true;
  }
  return isClosed_;
}

}  // namespace xvault
