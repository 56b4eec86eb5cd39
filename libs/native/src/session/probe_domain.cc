#include "session/probe_domain.h"

#include "clock.h"

#include <algorithm>
#include <span>

namespace interleave {
namespace {

// Short rows first, which cost little; then what images and audio have.
constexpr std::array<std::int64_t, 10> kLengths{6, 32, 64, 16, 224, 128, 512, 1024, 4096, 16'000};
// Features and channels. As first of two lengths: channels of images, before height and width.
constexpr std::array<std::int64_t, 14> kFeatures{4, 1, 3, 2, 8, 16, 32, 64, 80, 128, 256, 384, 512, 768};
constexpr std::array<std::int64_t, 2> kImageChannels{3, 1};
constexpr std::int64_t kImageLengthMax = 224;

struct Sizes {
  std::array<std::int64_t, 2> lengths{};
  std::int64_t channels = 1;
  std::int64_t free = 1;
};

// Free dimensions are tried as features, and as the width of an image whose height is the last length.
void AddFree(std::vector<Sizes>& all, const std::array<std::int64_t, 2>& lengths, bool hasFree) {
  if (!hasFree) return all.push_back({lengths});
  const std::int64_t last = std::max(lengths[0], lengths[1]);
  if (last == 0) {
    for (const std::int64_t channels : kImageChannels) all.push_back({lengths, channels, 32});
  } else {
    for (const std::int64_t channels : {last, kImageChannels[0], kImageChannels[1]})
      all.push_back({lengths, channels, last});
  }
  for (const std::int64_t features : kFeatures) all.push_back({lengths, features, features});
}

std::vector<Sizes> AllSizes(int sequenceAxes, bool hasFree) {
  std::vector<Sizes> all;
  if (sequenceAxes == 0) AddFree(all, {}, hasFree);
  for (const std::int64_t length : std::span(kLengths).first(sequenceAxes == 0 ? 0 : kLengths.size())) {
    AddFree(all, {length, sequenceAxes == 2 ? length : 0}, hasFree);
    if (sequenceAxes < 2 || length > kImageLengthMax) continue;
    for (const std::int64_t channels : kImageChannels) AddFree(all, {channels, length}, hasFree);
  }
  return all;
}

// What all integers are at first: few graphs refuse the first, and those have a use for one of the others.
constexpr std::array<IntegerRange, 4> kIntegers{{{0, 1}, {1, 1}, {0, 0}, {0, 1, true}}};
constexpr std::array<std::int64_t, 4> kHighs{999, 99, 19, 7};

bool IsFree(Axis axis) { return axis == Axis::kFree || axis == Axis::kUnknown; }

bool HasFreeAxis(const TensorSpec& spec) {
  return std::any_of(spec.axes.begin(), spec.axes.begin() + spec.shape.rank, IsFree);
}

bool IsString(const TensorSpec& spec) { return spec.type == ElementType::kString; }

class DomainSearch {
 public:
  DomainSearch(const Signature& signature, const TryProbe& tryProbe) : signature_(signature), tryProbe_(tryProbe) {}

  std::optional<AcceptedDomain> Find() {
    for (const Sizes& sizes : AllSizes(signature_.sequenceAxes, Any(HasFreeAxis))) {
      if (MonotonicNowNs() - startedNs_ > kSearchNsMax) break;
      std::optional<AcceptedDomain> found = FindValues(sizes);
      if (!found) continue;
      Widen(*found);
      return found;
    }
    return std::nullopt;
  }
  const std::string& refusal() const { return refusal_; }

 private:
  template <class Predicate>
  bool Any(Predicate predicate) const {
    return std::any_of(signature_.inputs.begin(), signature_.inputs.end(), predicate);
  }

  std::optional<AcceptedDomain> FindValues(const Sizes& sizes) {
    const std::size_t variants = Any(HasRange) ? kIntegers.size() : Any(IsString) ? 2 : 1;
    for (std::size_t variant = 0; variant < variants; ++variant) {
      AcceptedDomain candidate;
      candidate.lengths = sizes.lengths;
      candidate.domain = {.channels = sizes.channels, .free = sizes.free, .hasNumerals = variant % 2 == 1};
      candidate.domain.integers.assign(signature_.inputs.size(), kIntegers[variant]);
      if (Accepts(candidate)) return candidate;
    }
    return std::nullopt;
  }

  bool Accepts(const AcceptedDomain& candidate) {
    if (++tries_ > kProbeTriesMax) return false;
    const std::string wrong =
        tryProbe_(candidate.domain, {.lengths = candidate.lengths, .showsRange = true, .seed = 1});
    if (refusal_.empty()) refusal_ = wrong;
    return wrong.empty();
  }

  void Widen(AcceptedDomain& found) {
    for (std::size_t i = 0; i < signature_.inputs.size(); ++i) {
      if (!HasRange(signature_.inputs[i])) continue;
      for (const IntegerRange& range : WiderRanges(signature_.inputs[i].type)) {
        AcceptedDomain wider = found;
        wider.domain.integers[i] = range;
        if (!Accepts(wider)) continue;
        found = wider;
        break;
      }
    }
  }

  static std::vector<IntegerRange> WiderRanges(ElementType type) {
    std::vector<IntegerRange> ranges;
    if (type == ElementType::kUint8) ranges.push_back({0, 255});
    if (type == ElementType::kInt8) ranges.push_back({-128, 127});
    for (const std::int64_t high : kHighs) {
      if (high < 128 || ranges.empty()) ranges.push_back({0, high});
    }
    return ranges;
  }

  const Signature& signature_;
  const TryProbe& tryProbe_;
  const std::int64_t startedNs_ = MonotonicNowNs();
  int tries_ = 0;
  std::string refusal_;
};

}  // namespace

std::optional<AcceptedDomain> FindProbeDomain(const Signature& signature, const TryProbe& tryProbe,
                                              std::string& refusal) {
  DomainSearch search(signature, tryProbe);
  std::optional<AcceptedDomain> found = search.Find();
  refusal = search.refusal();
  return found;
}

}  // namespace interleave
