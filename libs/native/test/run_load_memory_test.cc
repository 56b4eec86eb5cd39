// Loads for which there is no memory, and what is said of them.
#include "run/load_memory.h"

#include <gtest/gtest.h>

#include <thread>

#include "engine_fixture.h"

namespace interleave {
namespace {

constexpr std::int64_t kGib = 1 << 30;

TEST(LoadMemoryTest, CountsLoadsUnderWayWithAllThatTheyWillTake) {
  LoadMemory memory({.limitBytes = 10 * kGib, .resident = [] { return 2 * kGib; }});
  LoadMemory::Room room;
  EXPECT_TRUE(memory.Begin(0, 5 * kGib, room));
  EXPECT_FALSE(memory.Begin(1, 4 * kGib, room));
  EXPECT_EQ(room.freeBytes, 3 * kGib);
  EXPECT_TRUE(memory.Begin(1, 3 * kGib, room));
  EXPECT_FALSE(memory.Begin(2, 1, room));
  memory.End(0);
  memory.End(1);
  EXPECT_TRUE(memory.Begin(0, 8 * kGib, room));
}

TEST(LoadMemoryTest, TakesWhatIsNotKnownInAnyCase) {
  LoadMemory memory({.limitBytes = kGib, .resident = [] { return 2 * kGib; }});
  LoadMemory::Room room;
  EXPECT_TRUE(memory.Begin(0, 0, room));
}

TEST(LoadMemoryTest, WithoutALimitRefusesOnlyWhatWouldEndTheProcess) {
  LoadMemory memory(
      {.resident = [] { return kGib; },
       .machine =
           [] { return MachineMemory{.availableBytes = 3 * kGib, .shortBytes = kGib, .largeBytes = 4 * kGib}; }});
  LoadMemory::Room room;
  EXPECT_TRUE(memory.Begin(0, 3 * kGib, room));  // more than is free, but no large part of the machine
  memory.End(0);
  EXPECT_FALSE(memory.Begin(0, 4 * kGib, room));
  EXPECT_EQ(room.freeBytes, 2 * kGib);
  EXPECT_TRUE(room.isOfMachine);
}

TEST(LoadMemoryTest, SaysWhatWouldMakeItFit) {
  const std::string text = NoRoomText("large", 3 * kGib, {.freeBytes = 2 * kGib}, 4 * kGib,
                                      {{"small", kGib}, {"middle", kGib / 2 * 3}, {"huge", 2 * kGib}});
  EXPECT_EQ(
      text,
      "it needs about 3.0 GiB of memory, as the sizes of its files say, and 2.0 GiB of the 4.0 GiB of this worker "
      "are free; raise memory of its partition, which its workers share equally, by 1.0 GiB for each of them, or "
      "unload middle (1.5 GiB) and load this, or split it: interleave split large --stages 2 makes models of "
      "about 1.5 GiB for 2 partitions");
  EXPECT_EQ(
      NoRoomText("large", 3 * kGib, {.freeBytes = kGib / 2, .isOfMachine = true}, 0, {}),
      "it needs about 3.0 GiB of memory, as the sizes of its files say, and 512 MiB of the machine's are free; give "
      "the machine 2.5 GiB more");
}

class LoadMemoryEngineTest : public test::EngineTest {};

TEST_F(LoadMemoryEngineTest, FailsWhatDoesNotFitAndLoadsTheOthers) {
  ModelPlan large = test::PlanOf(encoder_);
  large.needBytes = 100 * kGib;
  EnginePlan plan = test::With({large, test::PlanOf(encoder_)});
  plan.memoryBytes = 50 * kGib;
  test::LoadedEngine engine(plan);
  const std::vector<ServedModels::Model> models = engine->models().All();
  EXPECT_EQ(models[0]->state(), ModelState::kFailed);
  EXPECT_TRUE(models[0]->reason().starts_with("it needs about 100.0 GiB of memory")) << models[0]->reason();
  EXPECT_EQ(models[1]->state(), ModelState::kReady);
}

// One that waits for the memory of a model that leaves would hold up the end of the worker.
TEST_F(LoadMemoryEngineTest, AWaitingLoadEndsWithTheEngine) {
  EnginePlan plan = test::With({test::PlanOf(encoder_)});
  plan.memoryBytes = 50 * kGib;
  plan.slowLoadNs = 1;
  test::LoadedEngine engine(plan);
  const ServedModels::Model inUse = engine->models().Find(1);
  ASSERT_TRUE(engine->Retire(1));
  ModelPlan large = test::PlanOf(encoder_);
  large.revision = 2;
  large.needBytes = 100 * kGib;
  ModelPlan small = test::PlanOf(encoder_);
  small.revision = 3;
  engine->AddModels({large, small});
  const ServedModels::Model waiting = engine->models().Find(2);
  // By a second loader, which begins while the first one waits.
  while (engine->models().Find(3)->state() != ModelState::kReady) std::this_thread::yield();
  EXPECT_EQ(waiting->state(), ModelState::kLoading);
  engine->Close();
  EXPECT_EQ(waiting->reason(), "the worker is stopping");
}

}  // namespace
}  // namespace interleave
