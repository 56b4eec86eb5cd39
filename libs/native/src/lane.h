// The two kinds of work that a node does.
#pragma once

#include <cstdint>

namespace interleave {

enum class Lane : std::uint8_t { kRealtime, kBatch };

}  // namespace interleave
