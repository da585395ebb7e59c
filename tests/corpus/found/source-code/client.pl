my $s3 = Amazon::S3->new({ aws_access_key_id => q{<<id:1>>}, aws_secret_access_key => q{<<secret:1>>} });
