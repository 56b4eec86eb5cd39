// The digits that a float32 has as a number of JavaScript, which is a double.
#pragma once

#include <cstdint>

namespace interleave {

// digits * 10^exponent; `digits` is below 10^18 and may end in zeros.
struct ShortDecimal {
  std::uint64_t digits;
  int exponent;
};

// The shortest digits that mean no other double than `value`, and of those the closest: what ECMAScript asks for.
// Precondition: `value` is positive and finite.
ShortDecimal ShortDecimalOf(float value);

}  // namespace interleave
