// The value written into the padded part of an input, in the bytes of its element type.
#pragma once

#include <array>
#include <cstddef>
#include <string>

#include "item.h"

namespace interleave {

struct PadValue {
  std::array<std::byte, 8> bytes{};  // the first ElementBytes(type) count
};

// Throws std::invalid_argument, naming value and type, when `type` cannot hold `value` exactly (floating types round).
// Strings are padded with the empty string: only 0 is accepted.
PadValue EncodePadValue(ElementType type, double value);

}  // namespace interleave
