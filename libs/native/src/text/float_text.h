// Numbers in JSON.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace interleave {

// "-123456789000000000000," is the longest one, with its comma.
inline constexpr std::size_t kNumberCharactersMax = 23;

// Writes the fewest digits that mean this float32, in the form that JSON.stringify gives a number of these digits; null
// where it is not finite. Precondition: room for kNumberCharactersMax characters. Returns the end.
char* WriteNumber(float value, char* target);

// Writes `[1,0.5]`. Precondition: room for 2 + values.size() * kNumberCharactersMax characters.
char* WriteNumbers(std::span<const float> values, char* target);

// `[1,-0.0,0.10000000149011612]`: the fewest characters that mean the same double, as std::to_chars has them, and -0
// with its sign. False where a number is not finite; `text` is of no use then.
bool DoublesText(std::span<const float> values, std::string& text);
bool DoublesText(std::span<const double> values, std::string& text);

}  // namespace interleave
