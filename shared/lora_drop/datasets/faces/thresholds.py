"""Every number that a decision about faces rests on, with where it comes from.

Measured with YuNet and SFace (opencv/opencv_zoo at 966be4cb) on free photos of public figures, in November 2026;
``make bench-faces`` reports them on people who are not among those.
"""

# Two faces are the same person's from this cosine on. Of 36 pairs of one person's photos the lowest has 0.52; of 532 pairs of
# different people 99 % have at most 0.25, and two actresses who look alike have 0.50. OpenCV advises 0.363 (docs.opencv.org,
# tutorial "DNN-based Face Detection And Recognition").
SAME_PERSON = 0.45
# Below this cosine to the centre of a person's other faces, a face is another person's. A photo of the person has
# 0.77 or more there, a stranger 0.25 or less.
OTHER_PERSON = 0.35
# The shorter side of a face, in pixels of the photo. Trainers work at 512 to 1,024 pixels: below this a face has too few
# to learn from.
SMALL_FACE = 64
# From this size on a face can be compared: the cosine to the same face in full size is 0.32 to 0.67 at 16 pixels, 0.73 to 0.84
# at 24 and 0.85 to 0.91 at 32.
COMPARED_FACE = 32
# A face that is smaller than this part of the largest one, or than can be compared, stands in the background.
BACKGROUND_FACE = 1 / 3
# The variance of the Laplacian of an aligned face of 112 by 112 pixels. Faces in sharp photos have 100 to 3,800, sharp ones of 32
# pixels 30 to 100; a blur with a radius of 2 % of the face leaves 14 to 30, of 3 % 5 to 11.
BLURRED_FACE = 25.0
# How much of a face is covered: 105 faces with nothing before them have 0 to 0.62, painted masks, hands and halves of faces 0.67
# to 1. Dark glasses have 0.1 to 0.7, and are mostly not noticed.
COVERED_FACE = 0.67
# From this yaw on a face is seen from the side, and is not compared with the others: profiles have 0.78 to 1, faces that look
# into the camera at most 0.2.
PROFILE = 0.75
# Fewer faces say nothing of the set.
ENOUGH_FACES = 4
# Where one person is required, this part of the photos has to show one face that can be compared. It is a choice: a few group
# photos and profiles among a person's photos are usual, and most of them are not.
ENOUGH_SEEN = 0.5
# A second person is one of two, and no stranger, from this part of the first one's photos on, and in two at least.
COMPARABLE = 0.5
SEVERAL_PHOTOS = 2
# Where more than this part shows neither of two people, there are many.
MANY_PEOPLE = 0.25
# All faces are seen from one angle where their yaws lie within this range: landmarks are found to about 0.1, and
# 14 views of one portrait have -0.12 to 0.08. Of fewer photos dataset_few_images says that other angles are needed.
ONE_ANGLE = 0.4
ENOUGH_ANGLES = 20
# Two photos have the same surroundings where 8 by 8 pixels around the faces differ by no more than this of 255 on
# average; pixels of a face are left out, and so many have to be left. Photos of one studio, clothes and camera have 1 to 14, others 34
# and more; nearly all views of the sample dataset's one portrait differ by more as well.
SAME_SURROUNDINGS = 20.0
ENOUGH_SURROUNDINGS = 20
# One setting in nearly all photos: this part of them, in so many at least.
ONE_SETTING = 0.8
ENOUGH_SETTINGS = 8
# What compares the surroundings in pairs looks at so many photos of a set at the most.
MOST_SETTINGS = 50
# How long one face takes to be compared on a slow core, in seconds (0.07 to 0.095 were measured).
COMPARED_IN = 0.1
# A picture of a proof sheet is nearly a photo itself from this cosine on; two photos of one person reach 0.75.
COPIED_PHOTO = 0.95
# The pictures of a proof sheet look little like the person below this part of what the photos reach among themselves
# (0.83 to 0.91; other people reach 0.25, which is less than a third of it). It is a choice: few LoRAs were measured.
LOW_LIKENESS = 0.75
