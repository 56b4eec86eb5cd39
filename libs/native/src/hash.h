#pragma once

#include <cstdint>

namespace interleave {

// `key` and `value` in one hash; depends on their order. The constants are those of boost::hash_combine and of
// MurmurHash3's 64-bit finalizer.
constexpr std::uint64_t Mix(std::uint64_t key, std::uint64_t value) {
  key ^= value + 0x9e3779b97f4a7c15U + (key << 6) + (key >> 2);
  return key * 0xff51afd7ed558ccdU;
}

}  // namespace interleave
