// Made-up items whose answers show whether rows that share a run change each other. The same recipe always gives the
// same item.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "session/probe_item.h"

namespace interleave {

// What the floating-point inputs of an item are like. Mild and signed ones are of everyday size; huge and not finite
// ones are there for what they do to their neighbours, and rounding weighs more in their own answers. The last two are
// mild, and have one token id all over, of Signature::extremeIds.
enum class ProbeValues : std::uint8_t {
  kMild,
  kNegative,
  kPositive,
  kTiny,
  kHuge,
  kNotFinite,
  kLargestIds,
  kSmallestIds
};

constexpr bool AreExtremeIds(ProbeValues values) {
  return values == ProbeValues::kLargestIds || values == ProbeValues::kSmallestIds;
}
constexpr bool IsExtreme(ProbeValues values) {
  return values == ProbeValues::kHuge || values == ProbeValues::kNotFinite || AreExtremeIds(values);
}

struct ProbeRecipe {
  ProbeValues values = ProbeValues::kMild;
  std::int64_t rows = 1;
  std::array<std::int64_t, 2> lengths{};
  // The last token of each row is masked, as where a caller padded the row.
  bool endsMasked = false;
  // The integers begin with the ends of their range, so that a run shows whether the graph accepts them.
  bool showsRange = false;
  std::uint64_t seed = 0;
};

// Both ends are drawn; `isLength`: always the row's first length.
struct IntegerRange {
  std::int64_t low = 0;
  std::int64_t high = 1;
  bool isLength = false;
};

// What the graph accepts where its declaration leaves it open.
struct ProbeDomain {
  // Sizes of free dimensions: dimension 1 of tensors of three and more dimensions, and every other one.
  std::int64_t channels = 1;
  std::int64_t free = 1;
  std::vector<IntegerRange> integers{};  // by input; unused for masks and what is no integer
  // Strings are numbers in decimal.
  bool hasNumerals = false;
};

// Whether the input holds integers that a range of the domain describes.
bool HasRange(const TensorSpec& spec);

// Throws SignatureError when such an item does not fit the model, or is larger than kProbeElementsMax.
ProbeItem MixProbeItem(const Signature& signature, const ProbeDomain& domain, const ProbeRecipe& recipe);

inline constexpr std::int64_t kProbeElementsMax = std::int64_t{1} << 20;

}  // namespace interleave
