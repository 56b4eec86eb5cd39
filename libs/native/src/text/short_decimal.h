// The fewest digits that tell a float32 from all others.
#pragma once

#include <cstdint>

namespace interleave {

// digits * 10^exponent; `digits` is below 2^28 and may end in zeros.
struct ShortDecimal {
  std::uint32_t digits;
  int exponent;
};

// The shortest digits that mean no other float32 than `value`, also where they are read as a double first, and of those
// the closest. Precondition: `value` is positive and finite.
ShortDecimal ShortDecimalOf(float value);

// The double that is closest to these digits: it has them in JSON, and is `value` again as a float32. Precondition:
// `value` is finite.
double ShortDoubleOf(float value);

}  // namespace interleave
