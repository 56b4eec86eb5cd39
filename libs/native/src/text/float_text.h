// Float32 numbers in JSON.
#pragma once

#include <cstddef>
#include <span>

namespace interleave {

// "-123456789000000000000," is the longest one, with its comma.
inline constexpr std::size_t kNumberCharactersMax = 23;

// Writes the fewest digits that mean this float32, in the form that JSON.stringify gives a number of these digits; null
// where it is not finite. Precondition: room for kNumberCharactersMax characters. Returns the end.
char* WriteNumber(float value, char* target);

// Writes `[1,0.5]`. Precondition: room for 2 + values.size() * kNumberCharactersMax characters.
char* WriteNumbers(std::span<const float> values, char* target);

}  // namespace interleave
