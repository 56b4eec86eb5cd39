// Duplicates in the whole worker but the channel: real runtime, real executors.
#include <gtest/gtest.h>

#include "engine_fixture.h"

namespace interleave {
namespace {

using test::Answer;
using test::Count;
using test::kForever;
using test::kSecondNs;
using test::LoadedEngine;
using test::PlanOf;
using test::Text;
using test::With;

class DuplicatesTest : public test::EngineTest {
 protected:
  // What occupies the executor is ended after a while, by when the others wait.
  std::vector<ModelPlan> plans_{PlanOf(counting_, kSecondNs / 2), PlanOf(encoder_)};
};

TEST_F(DuplicatesTest, AreAnsweredFromOneRowOfTheRun) {
  constexpr std::uint64_t kItems = 50;
  LoadedEngine engine(With(plans_));
  Occupy(engine);
  for (std::uint64_t id = 2; id < 2 + kItems; ++id) engine->OnItem(Make(id, Text(5), 1));
  const auto answers = inbox_.Wait(1 + kItems);
  EXPECT_TRUE(engine->Drain(60 * kSecondNs));
  const ModelStats& stats = engine->models().All()[1]->stats();
  EXPECT_GT(stats.duplicates, 0U);
  EXPECT_EQ(stats.rows + stats.duplicates, kItems);
  EXPECT_EQ(stats.items[static_cast<std::size_t>(ItemStatus::kOk)], kItems);
  const auto expected = answers.at(2).outputs.at(1).As<float>();
  EXPECT_EQ(expected.size(), std::size_t{test::kWidth});
  for (std::uint64_t id = 2; id < 2 + kItems; ++id) {
    ASSERT_EQ(answers.at(id).status, ItemStatus::kOk) << answers.at(id).message;
    EXPECT_EQ(answers.at(id).outputs.at(1).As<float>(), expected) << id;
    EXPECT_LE(answers.at(id).times.enqueuedNs, answers.at(id).times.startedNs);
  }
  EXPECT_TRUE(inbox_.IsExact());
}

TEST_F(DuplicatesTest, RunInTheBatchLaneOnceAsWell) {
  LoadedEngine engine(With(plans_, Lane::kBatch));
  Occupy(engine);
  for (std::uint64_t id = 2; id <= 4; ++id) engine->OnItem(Make(id, Text(5), 1));
  EXPECT_EQ(engine->models().All()[1]->stats().duplicates, 2U);
}

TEST_F(DuplicatesTest, RunEachWhereThePlanSaysSoOrTheyAreSuspects) {
  plans_[1].deduplicate = false;
  LoadedEngine engine(With(plans_));
  Occupy(engine);
  for (std::uint64_t id = 2; id <= 4; ++id) engine->OnItem(Make(id, Text(5), 1));
  Item suspect = Make(5, Count(kForever));
  suspect.alone = true;
  engine->OnItem(std::move(suspect));
  EXPECT_EQ(engine->models().All()[1]->stats().duplicates, 0U);
  EXPECT_EQ(engine->models().All()[0]->stats().duplicates, 0U);
  EXPECT_EQ(engine->models().All()[1]->gauge().items, 3);
}

TEST_F(DuplicatesTest, ShareTheRunUnderWayAndItsFailure) {
  LoadedEngine engine(With(plans_));
  Occupy(engine);
  engine->OnItem(Make(2, Count(kForever)));
  EXPECT_EQ(engine->models().All()[0]->stats().duplicates, 1U);
  EXPECT_EQ(AnswerTo(1).status, ItemStatus::kRunTimeout);
  EXPECT_EQ(AnswerTo(2).status, ItemStatus::kRunTimeout);
}

TEST_F(DuplicatesTest, FailOnlyTheOnesAtFaultInASharedRun) {
  LoadedEngine engine(With(plans_));
  Occupy(engine);
  for (std::uint64_t id = 2; id <= 9; ++id) engine->OnItem(Make(id, Text(5, id % 2 == 0 ? test::kVocabulary : 1), 1));
  const auto answers = inbox_.Wait(9);
  for (std::uint64_t id = 2; id <= 9; ++id) {
    EXPECT_EQ(answers.at(id).status, id % 2 == 0 ? ItemStatus::kFailed : ItemStatus::kOk) << id;
  }
  EXPECT_GT(engine->models().All()[1]->stats().duplicates, 0U);
  EXPECT_TRUE(inbox_.IsExact());
}

TEST_F(DuplicatesTest, EachNeedsRoomForItsOwnAnswer) {
  LoadedEngine engine(With(plans_));
  Occupy(engine);
  Item small = test::MakeItem(inbox_, 2, Text(5), 64);
  small.revision = 2;
  engine->OnItem(std::move(small));
  engine->OnItem(Make(3, Text(5), 1));
  EXPECT_EQ(AnswerTo(2).status, ItemStatus::kResponseTooLarge);
  EXPECT_EQ(AnswerTo(3).status, ItemStatus::kOk);
}

TEST_F(DuplicatesTest, AreAnsweredWhenTheEngineCloses) {
  LoadedEngine engine(With(plans_));
  Occupy(engine);
  engine->OnItem(Make(2, Count(kForever)));
  for (std::uint64_t id = 3; id <= 5; ++id) engine->OnItem(Make(id, Text(5), 1));
  engine->Close();
  EXPECT_EQ(inbox_.Now().size(), 5U);
  EXPECT_TRUE(inbox_.IsExact());
}

}  // namespace
}  // namespace interleave
