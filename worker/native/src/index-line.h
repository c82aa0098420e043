#pragma once
#include <string>

#include "records.h"

namespace xvault {

/** Appends one line of the index with its line break; `base` is added to the offsets. */
void addIndexLine(std::string& out, const Entry& entry, const Place& place, uint64_t base);

}  // namespace xvault
