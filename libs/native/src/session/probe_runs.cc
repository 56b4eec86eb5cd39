#include "session/probe_runs.h"

#include <ctime>
#include <memory>

namespace interleave {
namespace {

// Keeps one item's outputs.
class AnswerKeeper : public Responder {
 public:
  explicit AnswerKeeper(ProbeAnswer& answer) : answer_(answer) {}
  void MarkRunning() override {}
  void MarkGuilty() override {}
  std::byte* AddOutput(std::uint16_t index, ElementType type, const Shape& shape, std::size_t bytes) override {
    // One byte more than needed: the memory of an empty tensor must not be nullptr, which says that it does not fit.
    std::vector<std::byte>& kept = (answer_[index] = {.type = type, .shape = shape, .bytes = {}}).bytes;
    kept.reserve(bytes + 1);
    kept.resize(bytes);
    return kept.data();
  }
  void Finish(const ItemTimes&) override {}
  void Fail(ItemStatus, std::string_view) override {}

 private:
  ProbeAnswer& answer_;
};

}  // namespace

std::vector<ProbeAnswer> ProbeRuns::Run(std::span<ProbeItem* const> items) {
  std::vector<ProbeAnswer> answers(items.size());
  RunWith(session_.library().NewRunOptions().get(), items, answers);
  return answers;
}

void ProbeRuns::ShrinkArena(ProbeItem& item) {
  ProbeItem* const items[] = {&item};
  const ort::OrtLibrary& library = session_.library();
  const auto options = library.NewRunOptions();
  library.Check(library.api().AddRunConfigEntry(options.get(), "memory.enable_memory_arena_shrinkage", "cpu:0"));
  std::vector<ProbeAnswer> answers(1);
  RunWith(options.get(), items, answers);
}

void ProbeRuns::RunWith(ort::RunOptions* options, std::span<ProbeItem* const> items,
                        std::vector<ProbeAnswer>& answers) {
  std::vector<Item*> members;
  std::vector<ItemShape> shapes;
  std::vector<std::vector<StringElements>> strings;
  for (ProbeItem* probe : items) {
    members.push_back(&probe->item);
    shapes.push_back(probe->shape);
    strings.push_back(probe->strings);
  }
  RunLayout layout;
  LayOut(shapes, layout);
  std::vector<RunOutput> outputs;
  options_.watched(options, [&] { outputs = session_.Run(members, layout, strings, scratch_, options); });
  for (std::size_t i = 0; i < items.size(); ++i) {
    items[i]->item.responder = std::make_unique<AnswerKeeper>(answers[i]);
    session_.Respond(outputs, layout, i, items[i]->item);
  }
}

std::int64_t ProbeRuns::SpentNs() const { return NowNs() - startedNs_; }

std::int64_t ProbeRuns::NowNs() const {
  timespec now{};
  clock_gettime(session_.isOnGpu() ? CLOCK_MONOTONIC : CLOCK_THREAD_CPUTIME_ID, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

}  // namespace interleave
