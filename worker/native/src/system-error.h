#pragma once
#include <cerrno>
#include <stdexcept>
#include <string>

#include "records.h"

namespace xvault {

/** A system call that failed. */
class SystemError : public std::runtime_error {
 public:
  SystemError(const char* call, int code);
  /** Throws when the process or the machine is at its limits: then no single item is at fault. */
  void throwIfShortage() const;
  /** What it means for one item: an ITEM_… code. */
  const char* itemCode() const;

 private:
  int code_;
};

}  // namespace xvault
