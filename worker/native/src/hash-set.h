#pragma once
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace xvault {

/** 64-bit hashes, 11 to 22 bytes for each. What has the same hash counts as the same. */
class HashSet {
 public:
  /** False when it was in there. */
  bool insert(uint64_t hash) {
    if (hash == kEmpty) hash = 1;
    if (4 * (count_ + 1) > 3 * slots_.size()) grow();
    uint64_t& slot = find(hash);
    if (slot == hash) return false;
    slot = hash;
    ++count_;
    return true;
  }

 private:
  static constexpr uint64_t kEmpty = 0;

  /** Where it is, or is to be. */
  uint64_t& find(uint64_t hash) {
    const size_t mask = slots_.size() - 1;
    size_t at = hash & mask;
    while (slots_[at] != kEmpty && slots_[at] != hash) at = (at + 1) & mask;
    return slots_[at];
  }

  void grow() {
    std::vector<uint64_t> before = std::exchange(slots_, std::vector<uint64_t>(slots_.empty() ? 1024 : 2 * slots_.size()));
    for (const uint64_t hash : before) {
      if (hash != kEmpty) find(hash) = hash;
    }
  }

  std::vector<uint64_t> slots_;
  size_t count_ = 0;
};

}  // namespace xvault
