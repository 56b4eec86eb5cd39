#include "session/axis_names.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <string>

namespace interleave {
namespace {

// Letters of any script: what is not ASCII counts.
bool IsLetter(char c) {
  return static_cast<unsigned char>(c) >= 0x80 || std::isalpha(static_cast<unsigned char>(c)) != 0;
}

std::string Lower(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return std::tolower(c); });
  return lower;
}

}  // namespace

bool IsPlaceholder(std::string_view name) {
  static constexpr std::array<std::string_view, 12> kWords{"none", "null",    "nil",   "nan", "unk", "unknown",
                                                           "dyn",  "dynamic", "undef", "any", "n/a", "<unk>"};
  const std::string lower = Lower(name);
  return std::none_of(name.begin(), name.end(), IsLetter) ||
         std::find(kWords.begin(), kWords.end(), lower) != kWords.end();
}

bool IsNumberedByExporter(std::string_view name) {
  const std::size_t end = name.find_last_not_of("0123456789") + 1;
  if (end == name.size()) return false;
  const std::string stem = Lower(name.substr(0, end));
  // tf2onnx; Paddle2ONNX; PyTorch, which names by node or input, or with s and u; ONNX' own shape inference;
  // that of ONNX Runtime's tools.
  for (const std::string_view known : {"unk__", "dynamicdimension.", "_dim_", "_dynamic_axes_", "__d"}) {
    if (stem.ends_with(known)) return true;
  }
  return stem == "s" || stem == "u" || stem == "dim_" || stem == "d" || stem == "dim" || stem == "unk_";
}

}  // namespace interleave
