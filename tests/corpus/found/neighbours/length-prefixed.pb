<<byte:0a>><<byte:14>><<id:1>><<byte:12>><<byte:28>><<secret:1>><<byte:1a>><<byte:09>>eu-west-1<<eof>>
