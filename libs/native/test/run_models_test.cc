// Models that come and go while the engine serves.
#include "run/served_models.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <random>
#include <set>
#include <thread>

#include "engine_fixture.h"

namespace interleave {
namespace {

using test::Answer;
using test::Count;
using test::Inbox;
using test::kForever;
using test::kSecondNs;
using test::LoadedEngine;
using test::PlanOf;
using test::Text;
using test::With;
using Model = ServedModels::Model;

ModelPlan Named(std::uint32_t revision, const std::string& version = "1") {
  return {.name = "m", .version = version, .revision = revision, .options = {}};
}

TEST(ServedModels, AreFoundByTheirRevisionUntilTheyAreRemoved) {
  ServedModels models;
  const Model first = models.Add(Named(7));
  EXPECT_EQ(models.Find(7), first);
  EXPECT_EQ(models.Find(8), nullptr);
  EXPECT_THROW(models.Add(Named(7)), std::invalid_argument);
  EXPECT_EQ(models.Remove(7), first);
  EXPECT_TRUE(first->isRetired());
  EXPECT_EQ(models.Find(7), nullptr);
  EXPECT_EQ(models.Remove(7), nullptr);
  EXPECT_TRUE(models.All().empty());
  EXPECT_NE(models.Add(Named(7)), first) << "the revision may come back while the one before it is in use";
}

TEST(ServedModels, GiveASlotAgainOnlyOnceNobodyHoldsItsModel) {
  ServedModels models;
  Model held = models.Add(Named(1));
  const std::uint32_t slot = held->slot();
  for (std::uint32_t revision = 2; revision <= kModelSlotsMax; ++revision) models.Add(Named(revision));
  models.Remove(1);
  models.FreeUnused();
  EXPECT_NE(models.Add(Named(2001))->reason().find("1024 models already"), std::string::npos);
  EXPECT_EQ(models.Find(2001)->state(), ModelState::kFailed);
  held.reset();
  EXPECT_TRUE(models.HasUnused());
  EXPECT_EQ(models.Add(Named(2002))->state(), ModelState::kFailed) << "it is not freed yet";
  models.FreeUnused();
  EXPECT_FALSE(models.HasUnused());
  const Model next = models.Add(Named(2003));
  EXPECT_EQ(next->state(), ModelState::kLoading);
  EXPECT_EQ(next->slot(), slot);
  EXPECT_NE(next->costs().generation(), 0) << "the guard would take it for the model before it";
}

TEST(ServedModels, CountByNameAndVersionAndKeepTheCounts) {
  ServedModels models;
  const auto rows = [&](const std::string& version) {
    for (const ServedModels::StatsRow& row : models.Stats()) {
      if (row.version == version) return static_cast<std::int64_t>(row.stats->rows);
    }
    return std::int64_t{-1};
  };
  models.Add(Named(1))->stats().rows += 3;
  models.Add(Named(2))->stats().rows += 4;
  models.Find(1)->gauge().items = 5;
  models.Find(2)->gauge().items = 6;
  ASSERT_EQ(models.Stats().size(), 1U);
  EXPECT_EQ(models.Stats()[0].queueItems, 11);
  EXPECT_EQ(rows("1"), 7);
  models.Remove(1);
  models.Remove(2);
  models.FreeUnused();
  EXPECT_EQ(rows("1"), 7);
  models.Add(Named(3))->stats().rows += 1;
  EXPECT_EQ(rows("1"), 8);
  for (std::uint32_t other = 10; other < 10 + 2 * kKeptStatsMax; ++other) {
    models.Add(Named(other, std::to_string(other)));
    models.Remove(other);
    models.FreeUnused();
  }
  EXPECT_LE(models.Stats().size(), kKeptStatsMax + 2);
  EXPECT_EQ(rows("1"), 8) << "it has a model";
  EXPECT_EQ(rows("10"), -1) << "the oldest without a model";
}

class ModelsTest : public test::EngineTest {
 protected:
  // x [N, 1] -> y = x + number.
  ModelPlan Adder(std::uint32_t revision) {
    const std::string path = test::Graph()
                                 .Input("x", test::kFloat, {"N", 1})
                                 .Output("y", test::kFloat, {"N", 1})
                                 .Initializer("c", test::kFloat, {1}, std::vector<float>{static_cast<float>(revision)})
                                 .Node("Add", {"x", "c"}, {"y"})
                                 .Save(dir_.File("adder" + std::to_string(revision % 8) + ".onnx"));
    ModelPlan plan = PlanOf(path);
    plan.revision = revision;
    return plan;
  }
  static std::vector<test::Tensor> X(float x) { return {test::TensorOf<float>(ElementType::kFloat32, {1, 1}, {x})}; }
  Item ForRevision(std::uint64_t id, std::uint32_t revision, std::vector<test::Tensor> inputs) {
    Item item = test::MakeItem(inbox_, id, std::move(inputs));
    item.revision = revision;
    return item;
  }
  template <class Engines>
  static ModelState Settled(Engines& engine, std::uint32_t revision) {
    while (engine->models().Find(revision)->state() == ModelState::kLoading) std::this_thread::yield();
    return engine->models().Find(revision)->state();
  }
  static void WaitUntilFreed(LoadedEngine& engine, const std::weak_ptr<ServedModel>& model) {
    while (!model.expired() || engine->models().HasUnused()) std::this_thread::yield();
  }
};

TEST_F(ModelsTest, AnswerWhatTheyTookBeforeTheyWereRetired) {
  LoadedEngine engine(With({PlanOf(counting_, kSecondNs / 4), PlanOf(encoder_)}));
  Occupy(engine);
  engine->OnItem(Make(2, Text(5), 1));
  const std::weak_ptr<ServedModel> model = engine->models().Find(2);
  EXPECT_TRUE(engine->Retire(2));
  EXPECT_FALSE(engine->Retire(2));
  engine->OnItem(Make(3, Text(5), 1));
  EXPECT_EQ(AnswerTo(3).status, ItemStatus::kGone);
  EXPECT_EQ(AnswerTo(3).message.find("revision 2 is gone"), 0U);
  EXPECT_EQ(ReportsJson(engine->models()).find("\"revision\":2"), std::string::npos);
  EXPECT_FALSE(model.expired()) << "an item waits for it";
  EXPECT_EQ(AnswerTo(2).status, ItemStatus::kOk) << AnswerTo(2).message;
  WaitUntilFreed(engine, model);
  EXPECT_EQ(engine->models().Stats()[1].stats->items[0], 1U);
}

TEST_F(ModelsTest, EndTheirMeasurementsWhenTheyAreRetired) {
  LoadedEngine engine(With({PlanOf(counting_), PlanOf(encoder_)}));
  Occupy(engine);
  std::promise<ProbeResult> result;
  engine->Measure(2, {.done = [&](const ProbeResult& r) { result.set_value(r); }});
  engine->Retire(2);
  EXPECT_EQ(result.get_future().get().error.find("revision 2 is gone"), 0U);
  engine->Measure(2, {.done = [&](const ProbeResult& r) { EXPECT_EQ(r.error.find("revision 2 is gone"), 0U); }});
  EXPECT_THROW(engine->SetCostTable(2, {}), std::invalid_argument);
}

TEST_F(ModelsTest, AreLoadedBesideThoseThatServe) {
  LoadedEngine engine(With({PlanOf(encoder_)}));
  engine->AddModels({Adder(5)});
  EXPECT_EQ(Settled(engine, 5), ModelState::kReady);
  engine->OnItem(ForRevision(1, 5, X(2)));
  EXPECT_EQ(AnswerTo(1).outputs.at(0).As<float>(), std::vector<float>{7});
  EXPECT_THROW(engine->AddModels({Adder(6), Adder(5)}), std::invalid_argument);
  EXPECT_EQ(Settled(engine, 6), ModelState::kReady) << "it came before the one at fault";
}

TEST_F(ModelsTest, AreReadyOnlyOnceTheirLoadWasConfirmed) {
  EnginePlan plan = With({PlanOf(encoder_), PlanOf(encoder_)});
  plan.confirmsLoads = true;
  LoadedEngine engine(plan);
  EXPECT_EQ(engine->loads().unconfirmed, (std::vector<std::uint32_t>{1, 2}));
  engine->OnItem(Make(1, Text(5)));
  EXPECT_EQ(AnswerTo(1).status, ItemStatus::kUnavailable);
  engine->Confirm(1, "");
  engine->Confirm(2, "other files");
  engine->Confirm(3, "there is no such revision");
  EXPECT_EQ(engine->loads().loading, 0U);
  engine->OnItem(Make(2, Text(5)));
  EXPECT_EQ(AnswerTo(2).status, ItemStatus::kOk);
  engine->OnItem(Make(3, Text(5), 1));
  EXPECT_EQ(AnswerTo(3).message, "model version 2 cannot be served: other files");
  engine->Confirm(1, "too late");
  EXPECT_EQ(engine->models().Find(1)->state(), ModelState::kReady);
}

// Every item is answered once, and by the revision that it named, while revisions come and go under it.
TEST_F(ModelsTest, NeverAnswerForOneAnother) {
  constexpr std::uint32_t kFirst = 101;
  constexpr std::uint32_t kSwaps = 150;
  constexpr std::size_t kClients = 4;
  const unsigned seed = std::random_device{}();
  RecordProperty("seed", static_cast<int>(seed));
  LoadedEngine engine([&] {
    EnginePlan plan = With({PlanOf(encoder_)});
    plan.cpus = {0, 0};
    plan.queueItemsMax = 64;
    return plan;
  }());
  std::atomic<std::uint32_t> newest{kFirst};
  std::atomic<bool> isOver{false};
  struct Sent {
    std::uint32_t revision;
    float x;
  };
  std::vector<std::vector<Sent>> sent(kClients);
  std::vector<Inbox> inboxes(kClients);
  std::vector<std::thread> clients;
  for (std::size_t client = 0; client < kClients; ++client) {
    clients.emplace_back([&, client] {
      std::minstd_rand random(seed + static_cast<unsigned>(client));
      while (!isOver) {
        const Sent item{.revision = newest - static_cast<std::uint32_t>(random() % 4) + 1,
                        .x = static_cast<float>(random() % 5)};
        const std::uint64_t id = sent[client].size();
        sent[client].push_back(item);
        Item made = test::MakeItem(inboxes[client], id, X(item.x));
        made.clientId = client + 1;
        made.revision = item.revision;
        engine->OnItem(std::move(made));
        // Some wait, so that the queue is now full and now empty.
        if (random() % 8 == 0) inboxes[client].WaitFor(id);
      }
    });
  }
  std::minstd_rand random(seed);
  std::set<std::uint32_t> slots;
  for (std::uint32_t revision = kFirst; revision < kFirst + kSwaps; ++revision) {
    engine->AddModels({Adder(revision)});
    slots.insert(engine->models().Find(revision)->slot());
    newest = revision;
    if (random() % 4 == 0) {
      engine->Retire(revision);  // while it loads, perhaps before
    } else {
      EXPECT_EQ(Settled(engine, revision), ModelState::kReady);
    }
    if (revision >= kFirst + 2) engine->Retire(revision - 2);
  }
  isOver = true;
  for (std::thread& client : clients) client.join();
  std::size_t answered = 0;
  for (std::size_t client = 0; client < kClients; ++client) {
    const auto answers = inboxes[client].Wait(sent[client].size());
    for (std::size_t id = 0; id < sent[client].size(); ++id) {
      const auto& [revision, x] = sent[client][id];
      const Answer& answer = answers.at(id);
      if (answer.status == ItemStatus::kOk) {
        ++answered;
        ASSERT_EQ(answer.outputs.at(0).As<float>(), std::vector<float>{x + static_cast<float>(revision)}) << revision;
      } else {
        ASSERT_TRUE(answer.status == ItemStatus::kGone || answer.status == ItemStatus::kUnavailable ||
                    answer.status == ItemStatus::kQueueFull)
            << answer.message;
      }
    }
    EXPECT_TRUE(inboxes[client].IsExact());
  }
  EXPECT_GT(answered, 0U);
  EXPECT_LT(slots.size(), std::size_t{kSwaps} / 2) << "slots are used again";
}

}  // namespace
}  // namespace interleave
