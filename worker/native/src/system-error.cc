#include "system-error.h"

namespace xvault {

namespace {

std::string codeName(int code) {
  switch (code) {
#define NAME(name) case name: return #name;
    NAME(EACCES) NAME(EPERM) NAME(ENOENT) NAME(ENOTDIR) NAME(ELOOP) NAME(ESTALE) NAME(ENXIO) NAME(ENODEV)
    NAME(ENAMETOOLONG) NAME(EIO) NAME(EMFILE) NAME(ENFILE) NAME(ENOMEM) NAME(EINVAL) NAME(EISDIR) NAME(ETIMEDOUT)
    NAME(EBUSY) NAME(EBADF) NAME(EINTR) NAME(EOVERFLOW) NAME(ETXTBSY) NAME(ENOTCONN) NAME(EHOSTDOWN) NAME(EUCLEAN)
#undef NAME
    default: return "errno " + std::to_string(code);
  }
}

}  // namespace

SystemError::SystemError(const char* call, int code)
    : std::runtime_error(std::string(call) + ": " + codeName(code)), code_(code) {}

void SystemError::throwIfShortage() const {
  if (code_ == EMFILE || code_ == ENFILE || code_ == ENOMEM) throw *this;
}

const char* SystemError::itemCode() const {
  switch (code_) {
    case ENOENT:
    case ESTALE:
    // Something else has taken the name: a symlink, a file in place of a directory.
    case ELOOP:
    case ENOTDIR: return "ITEM_VANISHED";
    // A socket, or a device without a driver.
    case ENXIO:
    case ENODEV: return "ITEM_UNSUPPORTED";
    case ENAMETOOLONG: return "ITEM_NAME_UNSUPPORTED";
    default: return "ITEM_UNREADABLE";
  }
}

}  // namespace xvault
