#include "session/merge_probe.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "session/probe_domain.h"
#include "session/probe_runs.h"

namespace interleave {
namespace {

constexpr std::int64_t kWideRowsMax = 33;
// Rounding of numbers far out grows with what they are computed from.
constexpr double kExtremeLooseness = 50;
// Where short rows are accepted, one that is longer than those that models have a rule of their own for.
constexpr std::int64_t kShortMax = 16;
constexpr std::int64_t kFarLength = 40;
constexpr const char* kAdvice = "; if its rows are independent, set mergeRows: always in model.yaml";

// Rows cannot share runs in the way that is being probed.
class NotIndependent : public std::runtime_error {
 public:
  explicit NotIndependent(const std::string& reason) : std::runtime_error(reason) {}
};

using Company = std::vector<std::size_t>;  // the items of a run, by number

// Items, and the runs that they share. The first runs are made always, the others as far as the time goes.
struct Lineup {
  std::vector<ProbeRecipe> recipes;
  std::vector<Company> needed;
  std::vector<Company> thorough;
  Company wide;  // repeated until the run is as wide as runs get
  const char* difference;
  const char* failure;
};

// Rows of equal lengths, of every kind, at each place of a run. The last six are of other sizes.
Lineup Neighbours(const std::array<std::int64_t, 2>& lengths) {
  const std::array<std::int64_t, 2> longer{2 * lengths[0], 2 * lengths[1]};
  const auto shorter = [&lengths](std::int64_t length) {
    return std::array<std::int64_t, 2>{std::min(lengths[0], length), std::min(lengths[1], length)};
  };
  return {
      .recipes = {{.values = ProbeValues::kMild, .rows = 1, .lengths = lengths, .seed = 2},
                  {.values = ProbeValues::kMild, .rows = 1, .lengths = lengths, .seed = 3},
                  {.values = ProbeValues::kHuge, .rows = 1, .lengths = lengths, .seed = 4},
                  {.values = ProbeValues::kNegative, .rows = 2, .lengths = lengths, .seed = 5},
                  {.values = ProbeValues::kTiny, .rows = 1, .lengths = lengths, .seed = 6},
                  {.values = ProbeValues::kNotFinite, .rows = 1, .lengths = lengths, .seed = 7},
                  {.values = ProbeValues::kPositive, .rows = 3, .lengths = lengths, .endsMasked = true, .seed = 8},
                  {.values = ProbeValues::kMild, .rows = 1, .lengths = longer, .seed = 9},
                  {.values = ProbeValues::kPositive, .rows = 2, .lengths = longer, .seed = 10},
                  {.values = ProbeValues::kMild, .rows = 1, .lengths = shorter(1), .seed = 21},
                  {.values = ProbeValues::kPositive, .rows = 2, .lengths = shorter(1), .seed = 22},
                  {.values = ProbeValues::kMild, .rows = 1, .lengths = shorter(3), .seed = 23},
                  {.values = ProbeValues::kNegative, .rows = 1, .lengths = shorter(3), .seed = 24}},
      .needed = {{0, 1}, {1, 2, 0}, {3, 0}},
      .thorough =
          {{9, 10}, {12, 11}, {3, 0, 4}, {6, 0}, {5, 0}, {4, 1, 3, 2, 0}, {7, 8}, {0, 5, 1}, {0, 6}, {8, 7}, {2, 0}},
      .wide = {0, 1, 3, 4, 6},
      .difference = "answers change beside other rows: ",
      .failure = "rows cannot share a run: "};
}

// Rows of different lengths: very short ones beside long ones, with values on one side of the padding's 0 as well.
Lineup Padding(const std::array<std::int64_t, 2>& base) {
  const auto at = [&base](std::int64_t first, std::int64_t second) {
    const auto scaled = [](std::int64_t length, std::int64_t of6) {
      return length == 0 ? 0 : std::max<std::int64_t>(1, length * of6 / 6);
    };
    return std::array<std::int64_t, 2>{scaled(base[0], first), scaled(base[1], second)};
  };
  const auto far = [](std::int64_t length) { return length == 0 ? 0 : length <= kShortMax ? kFarLength : length; };
  return {.recipes = {{.values = ProbeValues::kMild, .rows = 1, .lengths = at(6, 6), .seed = 11},
                      {.values = ProbeValues::kNegative, .rows = 1, .lengths = at(2, 9), .seed = 12},
                      {.values = ProbeValues::kMild, .rows = 1, .lengths = at(9, 1), .seed = 13},
                      {.values = ProbeValues::kPositive, .rows = 1, .lengths = at(1, 3), .seed = 14},
                      {.values = ProbeValues::kMild, .rows = 2, .lengths = at(13, 2), .endsMasked = true, .seed = 15},
                      {.values = ProbeValues::kHuge, .rows = 1, .lengths = at(4, 12), .seed = 16},
                      {.values = ProbeValues::kNegative, .rows = 3, .lengths = at(12, 12), .seed = 17},
                      {.values = ProbeValues::kLargestIds, .rows = 1, .lengths = at(2, 5), .seed = 18},
                      {.values = ProbeValues::kSmallestIds, .rows = 1, .lengths = at(2, 5), .seed = 19},
                      {.values = ProbeValues::kMild, .rows = 1, .lengths = {far(base[0]), far(base[1])}, .seed = 20}},
          .needed = {{0, 1}, {2, 1, 0}, {3, 2}, {7, 8, 0}},
          .thorough = {{9, 1, 3}, {3, 0, 6}, {1, 4}, {2, 3, 1, 4, 0}, {5, 0}, {6, 5, 3}, {0, 4}},
          .wide = {3, 0, 1, 2, 4, 6},
          .difference = "padding changes answers: ",
          .failure = "padded rows cannot share a run: "};
}

std::string RowsText(const Signature& signature, const ProbeAnswer& answer, std::int64_t rows) {
  for (const auto& [output, tensor] : answer) {
    if (tensor.shape.rank > 0 && tensor.shape.dims[0] == rows) continue;
    return "outputs cannot be told apart by row: output \"" + signature.outputs[output].name + "\" came with shape " +
           ShapeText(tensor.shape) + " for " + std::to_string(rows) + (rows == 1 ? " row" : " rows");
  }
  return "";
}

// An item of a lineup with its answer when run alone; neither when the graph refuses it.
struct Candidate {
  ProbeRecipe recipe;
  bool isTried = false;
  std::optional<ProbeItem> item{};
  ProbeAnswer answer{};
};

class MergeProbe {
 public:
  MergeProbe(Session& session, const MergeProbeOptions& options)
      : session_(session), options_(options), runs_(session, options) {}

  void Run() {
    if (!Try(
            [this] {
              FindDomain();
              Check(Neighbours(accepted_.lengths));
            },
            CoalesceMode::kAlone))
      return;
    if (session_.signature().coalesce != CoalesceMode::kPadded || session_.signature().sequenceAxes == 0) return;
    Try([this] { Check(Padding(accepted_.lengths)); }, CoalesceMode::kEqualLength);
  }

  void ShrinkArena() {
    if (!acceptedItem_) return;
    try {
      runs_.ShrinkArena(*acceptedItem_);
    } catch (const ort::OrtError&) {
      // It has run before; if it fails now, there is little to give back.
    } catch (const ProbeEnded&) {
      // The worker stops.
    }
  }

 private:
  // False when `probe` shows that rows can share runs as `otherwise` says at most.
  template <class Probe>
  bool Try(Probe probe, CoalesceMode otherwise) {
    try {
      probe();
      return true;
    } catch (const NotIndependent& reason) {
      session_.LimitMerging(otherwise, reason.what());
    } catch (const ProbeEnded& ended) {
      session_.LimitMerging(otherwise,
                            std::string("could not find out whether rows are independent: ") + ended.what() + kAdvice);
    }
    return false;
  }

  void FindDomain() {
    std::string refusal;
    const auto found = FindProbeDomain(
        session_.signature(),
        [this](const ProbeDomain& domain, const ProbeRecipe& recipe) {
          Candidate candidate{.recipe = recipe};
          std::string wrong = RunAlone(domain, candidate);
          if (wrong.empty()) acceptedItem_ = std::move(candidate.item);
          return wrong;
        },
        refusal);
    if (!found) throw NotIndependent("no made-up input was accepted (" + refusal + ")" + kAdvice);
    accepted_ = *found;
  }

  // Returns why the graph refuses the item; empty when the candidate has its answer.
  std::string RunAlone(const ProbeDomain& domain, Candidate& candidate) {
    if (runs_.SpentNs() > kProbeNsMax) throw ProbeEnded("its runs took longer than 20 s");
    try {
      ProbeItem item = MixProbeItem(session_.signature(), domain, candidate.recipe);
      ProbeItem* const alone[] = {&item};
      candidate.answer = std::move(runs_.Run(alone)[0]);
      candidate.item = std::move(item);
      return "";
    } catch (const ort::OrtError& error) {
      return error.what();
    } catch (const SignatureError& error) {
      return error.what();
    }
  }

  void Check(const Lineup& lineup) {
    std::vector<Candidate> candidates;
    for (const ProbeRecipe& recipe : lineup.recipes) candidates.push_back({.recipe = recipe});
    RepeatFirst(candidates[0]);
    bool isShown = false;
    for (const Company& company : lineup.needed) isShown = RunTogether(lineup, candidates, company) || isShown;
    std::vector<Company> thorough = lineup.thorough;
    thorough.push_back(Widened(lineup));
    for (const Company& company : thorough) {
      if (isShown && runs_.SpentNs() > options_.thoroughNs && HaveAnswersVaried(candidates)) break;
      isShown = RunTogether(lineup, candidates, company) || isShown;
    }
    if (!isShown)
      throw NotIndependent(std::string(lineup.failure) + "no two made-up rows were accepted (" + refusal_ + ")" +
                           kAdvice);
    if (!HaveAnswersVaried(candidates)) {
      throw NotIndependent(std::string("all made-up rows got the same answer, which shows nothing") + kAdvice);
    }
  }

  Company Widened(const Lineup& lineup) const {
    Company company;
    std::int64_t rows = 0;
    for (std::size_t i = 0; rows < std::min(options_.rowsMax, kWideRowsMax); ++i) {
      company.push_back(lineup.wide[i % lineup.wide.size()]);
      rows += lineup.recipes[company.back()].rows;
    }
    return company;
  }

  // Whether the graph accepts it; finds its answer on first use.
  bool IsAccepted(Candidate& candidate) {
    if (candidate.isTried) return candidate.item.has_value();
    candidate.isTried = true;
    const std::string wrong = RunAlone(accepted_.domain, candidate);
    if (!wrong.empty()) {
      refusal_ = wrong;
      return false;
    }
    const std::string rows = RowsText(session_.signature(), candidate.answer, candidate.recipe.rows);
    if (!rows.empty()) throw NotIndependent(rows);
    if (IsOrdinary(candidate.recipe)) scale_.Add(candidate.answer);
    return true;
  }

  // A model that draws random numbers shows nothing by differences, and two equal rows of it are not one.
  void RepeatFirst(Candidate& first) {
    if (!IsAccepted(first)) return;
    ProbeItem* const alone[] = {&*first.item};
    const Difference difference = DifferenceOf(first.answer, runs_.Run(alone)[0], scale_, 1, session_.signature());
    if (difference.by > 0) throw NotIndependent("answers change from run to run: " + difference.text);
  }

  // False when fewer than two of the items can run; throws NotIndependent when one of them gets another answer.
  bool RunTogether(const Lineup& lineup, std::vector<Candidate>& candidates, const Company& company) {
    std::vector<Candidate*> members;
    std::vector<ProbeItem*> items;
    std::int64_t rows = 0;
    for (const std::size_t i : company) {
      if (!IsAccepted(candidates[i]) || rows + candidates[i].recipe.rows > options_.rowsMax) continue;
      rows += candidates[i].recipe.rows;
      members.push_back(&candidates[i]);
      items.push_back(&*candidates[i].item);
    }
    if (items.size() < 2) return false;
    if (runs_.SpentNs() > kProbeNsMax) throw ProbeEnded("its runs took longer than 20 s");
    Compare(lineup, members, Answers(lineup, items));
    return true;
  }

  std::vector<ProbeAnswer> Answers(const Lineup& lineup, const std::vector<ProbeItem*>& items) {
    try {
      return runs_.Run(items);
    } catch (const NotTogether& error) {
      throw NotIndependent(lineup.failure + std::string(error.what()));
    } catch (const ort::OrtError& error) {
      throw NotIndependent(lineup.failure + std::string(error.what()));
    }
  }

  void Compare(const Lineup& lineup, const std::vector<Candidate*>& members,
               const std::vector<ProbeAnswer>& answers) const {
    Difference worst;
    for (std::size_t i = 0; i < members.size(); ++i) {
      Difference difference = Compare(*members[i], answers[i]);
      if (difference.by > worst.by) worst = std::move(difference);
    }
    if (worst.by > 0) throw NotIndependent(lineup.difference + worst.text);
  }

  Difference Compare(const Candidate& candidate, const ProbeAnswer& answer) const {
    // What is not finite spreads within its row as the kernels like.
    if (candidate.recipe.values == ProbeValues::kNotFinite) return {};
    if (IsOrdinary(candidate.recipe)) return DifferenceOf(candidate.answer, answer, scale_, 1, session_.signature());
    const bool isExtreme = IsExtreme(candidate.recipe.values);
    AnswerScale own = isExtreme ? AnswerScale() : scale_;
    own.Add(candidate.answer);
    return DifferenceOf(candidate.answer, answer, own, isExtreme ? kExtremeLooseness : 1, session_.signature());
  }
  // Its answer says how large answers are: numbers that masked places are filled with do not.
  static bool IsOrdinary(const ProbeRecipe& recipe) { return !IsExtreme(recipe.values) && !recipe.endsMasked; }

  // Rows of equal answers would change places unseen.
  bool HaveAnswersVaried(const std::vector<Candidate>& candidates) {
    const Candidate& first = candidates[0];
    const auto isOther = [&](const Candidate& candidate) {
      return candidate.item && first.item && !IsExtreme(candidate.recipe.values) &&
             candidate.recipe.rows == first.recipe.rows && candidate.recipe.lengths == first.recipe.lengths &&
             DifferenceOf(first.answer, candidate.answer, scale_, 1, session_.signature()).by > 0;
    };
    haveVaried_ = haveVaried_ || std::any_of(candidates.begin(), candidates.end(), isOther);
    return haveVaried_;
  }

  Session& session_;
  const MergeProbeOptions& options_;
  ProbeRuns runs_;
  AcceptedDomain accepted_;
  std::optional<ProbeItem> acceptedItem_;
  AnswerScale scale_;
  bool haveVaried_ = false;
  std::string refusal_;  // the latest
};

}  // namespace

void ProbeMerging(Session& session, const MergeProbeOptions& options) {
  if (session.signature().coalesce == CoalesceMode::kAlone || options.rowsMax < 2) return;
  MergeProbe probe(session, options);
  probe.Run();
  probe.ShrinkArena();
}

}  // namespace interleave
